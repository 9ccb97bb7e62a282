"""What starting the command costs, against an interpreter that does nothing.

For `scripts/bench`. Both are started in turn in one run, and the median of each counts.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import trio

ROUNDS = 15


def _seconds(argv: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


async def measure() -> dict[str, dict[str, Any]]:
    """`cli_start`: `katrio --help`, in ms."""
    katrio = [str(Path(sys.executable).parent / "katrio"), "--help"]
    bare = [sys.executable, "-c", "pass"]
    ours: list[float] = []
    floor: list[float] = []
    for _ in range(ROUNDS):
        ours.append(await trio.to_thread.run_sync(partial(_seconds, katrio)))
        floor.append(await trio.to_thread.run_sync(partial(_seconds, bare)))
    value = statistics.median(ours)
    return {
        "cli_start": {
            "value": round(value * 1000, 1),
            "unit": "ms",
            "against": "python -c pass",
            "ratio": round(value / statistics.median(floor), 2),
        }
    }
