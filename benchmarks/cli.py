"""What starting the command costs, against an interpreter that does nothing."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from time import perf_counter

import trio

from benchmarks.figure import Comparison, Effort, Figure, Measured, take_turns

KATRIO = [str(Path(sys.executable).parent / "katrio"), "--help"]
BARE = [sys.executable, "-c", "pass"]


async def _start(effort: Effort) -> Measured:
    async def run(argv: list[str]) -> float:
        return await trio.to_thread.run_sync(_milliseconds, argv)

    ours, bare = await take_turns(effort.rounds(15), partial(run, KATRIO), partial(run, BARE))
    return Measured(ours, [Comparison("python -c pass", bare)])


def _milliseconds(argv: list[str]) -> float:
    began = perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return (perf_counter() - began) * 1000


FIGURES = (Figure("cli_start", "`katrio --help`, from start to end", "ms", _start),)
