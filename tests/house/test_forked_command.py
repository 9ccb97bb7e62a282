"""A command that the tests fork is the one that they could have started."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import KATRIO, ROOT, katrio, written

if TYPE_CHECKING:
    from pathlib import Path

LONG = "name: x\nwhy: y\nsandboxes: {box: {}}\nsteps:\n  - {sleep: 50s}\n"


@pytest.mark.parametrize("words", [("version",), ("help", "rum"), ("list", "scenarios"), ("validate", "/nothing.yaml")])
def test_it_ends_and_says_as_one_that_is_started(words: tuple[str, ...]) -> None:
    argv = [KATRIO, *words]
    started = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    forked = katrio(*words)
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)


def test_each_has_the_environment_of_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[int] = []
    for columns in ("40", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        lines.append(len(katrio("--help").stdout.splitlines()))
    assert lines[0] > lines[1]


def test_one_that_takes_too_long_is_killed_and_the_next_is_not_disturbed(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        katrio("run", "--agent", "noop", written(tmp_path, LONG), timeout=1)
    assert katrio("version").stdout.startswith("katrio ")
