"""The same scripts in busybox' shell and in the simulated one: same output, same complaints, same exit code.

`tests/data/shell-scripts.txt` has the scripts, between lines of four dashes; what scenarios run is among them. They use
files of their working directory alone. Real processes and virtual time; skipped where there is no busybox.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tests.support.simulated import Ended, run_script

if TYPE_CHECKING:
    from collections.abc import Generator

SCRIPTS = (Path(__file__).parents[1] / "data/shell-scripts.txt").read_text("utf-8").split("\n----\n")
BUSYBOX = shutil.which("busybox")
# the words of complaints change between releases; the rest must not
KNOWN_WORDS = "BusyBox v1.35."


@pytest.fixture(scope="module")
def busybox() -> tuple[str, bool]:
    """Its path, and whether its complaints are compared as well."""
    if BUSYBOX is None:
        pytest.skip("no busybox on this machine")
    version = subprocess.run([BUSYBOX], capture_output=True, text=True, check=False).stdout
    return BUSYBOX, version.startswith(KNOWN_WORDS)


@pytest.fixture(autouse=True)
def interruptible() -> Generator[None]:
    """Tests that run in the background are born with interrupts ignored, and a shell can't trap what it was born ignoring."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


def really(busybox: str, script: str, directory: Path) -> Ended:
    found = subprocess.run(
        [busybox, "sh", "-c", script],
        input=b"",
        capture_output=True,
        cwd=directory,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
        timeout=30,
        check=False,
    )
    code = found.returncode
    return Ended(found.stdout, found.stderr, code if code >= 0 else 128 - code)


def simulated(script: str) -> Ended:
    return trio.run(partial(run_script, script, cwd="/tmp"), clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("script", SCRIPTS, ids=[f"{at}-{script[:40]!r}" for at, script in enumerate(SCRIPTS)])
def test_a_script_does_the_same_in_both_shells(script: str, busybox: tuple[str, bool], tmp_path: Path) -> None:
    path, words_too = busybox
    expected, found = really(path, script, tmp_path), simulated(script)
    assert (found.stdout, found.code) == (expected.stdout, expected.code)
    if words_too:
        assert found.stderr == expected.stderr
