"""Trials of a runtime: the real one, and programs that are none; nothing of them is left (the leak check)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from actors.node.busybox import find_static_busybox
from actors.node.facts import missing_for, read_facts
from actors.node.trials import run_trial
from actors.words import RUNTIMES

FACTS = read_facts()
BUSYBOX = str(find_static_busybox())
VERSION = '#!/bin/sh\n[ "$1" = --version ] && echo "crun version 99" && exit\n'
HANGS = "trap '' TERM INT HUP\n(setsid sleep 777; :) &\nsleep 777"
# the guest's own bound would take 5 s
SECONDS = 2.0

needs_root = pytest.mark.skipif(not FACTS.root or FACTS.busybox is None, reason="needs root and a static busybox")


def program(place: Path, script: str) -> str:
    place.mkdir(exist_ok=True)
    path = place / "crun"
    path.write_text(VERSION + script)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_runtime_that_works(runtime: str, tmp_path: Path) -> None:
    tool = FACTS.tool(runtime)
    if tool is None or missing_for(FACTS, runtime):
        pytest.skip(missing_for(FACTS, runtime))
    assert run_trial(tool.path, BUSYBOX, tmp_path / "scratch") == ""
    assert not (tmp_path / "scratch").exists()


@needs_root
@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 3", "create ended with 3"),
        ("kill -9 $$", "create ended with -9"),
        # it says that it has created one, and has not
        ("exit 0", "pid"),
        (HANGS, f"did not end within {SECONDS:g} s"),
    ],
)
def test_one_that_does_not(script: str, why: str, tmp_path: Path) -> None:
    failed = run_trial(program(tmp_path / "bin", script), BUSYBOX, tmp_path / "scratch", seconds=SECONDS)
    assert why in failed
    assert "\n" not in failed
    assert not (tmp_path / "scratch").exists()


@needs_root
def test_its_word_counts_where_its_status_is_lost(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        failed = run_trial(program(tmp_path / "bin", "exit 3"), BUSYBOX, tmp_path / "scratch")
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert failed == "create ended with 3"


@needs_root
def test_a_program_that_is_none(tmp_path: Path) -> None:
    assert run_trial(str(tmp_path), BUSYBOX, tmp_path / "scratch") != ""


def chosen(environment: dict[str, str]) -> tuple[str, str, str]:
    """What a process of its own takes: the engine, the reason, and what it says on its error stream."""
    ask = "import json; from actors.node.trials import find_engine; print(json.dumps(find_engine()))"
    done = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    engine, reason = json.loads(done.stdout)
    return engine, reason, done.stderr


@pytest.mark.skipif(bool(missing_for(FACTS, "runc")) or FACTS.busybox is None, reason="needs root, runc and busybox")
def test_another_is_taken_with_one_warning(tmp_path: Path) -> None:
    broken = program(tmp_path / "bin", "exit 3")
    environment = {**os.environ, "PATH": f"{Path(broken).parent}:{os.environ['PATH']}"}
    engine, reason, said = chosen(environment)
    assert engine == "runc"
    assert "crun failed its trial: create ended with 3" in reason
    assert said == "crun is here and failed its trial: create ended with 3\n"
    assert chosen(environment)[:2] == (engine, reason)
    # another program is another trial
    program(tmp_path / "bin", "exit 44")
    assert "create ended with 44" in chosen(environment)[1]


@pytest.mark.skipif(bool(missing_for(FACTS, "crun")) or FACTS.busybox is None, reason="needs root, crun and busybox")
def test_the_faster_one_is_taken_here() -> None:
    assert chosen(dict(os.environ)) == (
        "crun",
        f"containers by {FACTS.crun.version if FACTS.crun else ''}, which a trial showed to work",
        "",
    )
