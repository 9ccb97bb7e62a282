"""What starting the command costs, against an interpreter that does nothing; and importing katrio, against what it stands on."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from time import perf_counter

import trio

from benchmarks.figure import Comparison, Effort, Figure, Goal, Measured, take_turns

KATRIO = [str(Path(sys.executable).parent / "katrio"), "--help"]
BARE = [sys.executable, "-c", "pass"]
IMPORTING = [sys.executable, "-c", "from katrio import open_system"]
BELOW = [sys.executable, "-c", "import trio, msgspec"]


async def _start(effort: Effort) -> Measured:
    async def run(argv: list[str]) -> float:
        return await trio.to_thread.run_sync(_milliseconds, argv)

    ours, bare = await take_turns(effort.rounds(15), partial(run, KATRIO), partial(run, BARE))
    return Measured(ours, [Comparison("python -c pass", bare, Goal(most=2.5))])


async def _import(effort: Effort) -> Measured:
    async def run(argv: list[str]) -> float:
        return await trio.to_thread.run_sync(_processor_milliseconds, argv)

    ours, below = await take_turns(effort.rounds(15), partial(run, IMPORTING), partial(run, BELOW))
    return Measured(ours, [Comparison("python -c 'import trio, msgspec'", below, Goal(most=1.5))])


def _milliseconds(argv: list[str]) -> float:
    began = perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return (perf_counter() - began) * 1000


def _processor_milliseconds(argv: list[str]) -> float:
    _, status, used = os.wait4(os.posix_spawn(argv[0], argv, os.environ), 0)
    if status:
        raise RuntimeError(f"{argv} ended with status {status}")
    return (used.ru_utime + used.ru_stime) * 1000


FIGURES = (
    Figure("cli_start", "`katrio --help`, from start to end", "ms", _start),
    Figure("import_cpu", "processor time of a program that imports `katrio.open_system`", "ms", _import),
)
