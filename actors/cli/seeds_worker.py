"""One of the processes that play a range of seeds: reads a seed a line, writes a result a line, until its input ends.

For `seeds_range`, which starts it: `python -m actors.cli.seeds_worker TASK`. Not for people.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from actors.cli.programs import load_any
from actors.scenario.reading.load import Sources
from actors.worlds.simulated_runs import play

__all__ = ["SeedResult", "Task", "main"]

# runs between two collections: a run collects nothing, and leaves a few thousand objects in cycles
_COLLECT_EVERY = 16


class Task(msgspec.Struct, frozen=True):
    """What to play."""

    file: str
    agent: str
    config: dict[str, Any] | None
    given: dict[str, str]
    keep_going: bool


class SeedResult(msgspec.Struct, frozen=True):
    """What became of one seed."""

    seed: int
    outcome: str
    reason: str
    digest: str | None
    steps: int
    # virtual
    seconds: float


def main(argument: str) -> int:
    """The exit code."""
    task = msgspec.json.decode(argument, type=Task)
    # what the product logs of a seed is in its result; a thousand seeds' warnings would hide the bar
    logging.getLogger().addHandler(logging.NullHandler())
    # a Python scenario may print; the answers stay alone on the stream that they are read from
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    loaded = load_any(Path(task.file), sources=Sources(task.given, os.environ))
    # what is here now stays; it need not be looked at again
    gc.freeze()
    for number, line in enumerate(sys.stdin.buffer):
        played = play(loaded, int(line), agent=task.agent, config=task.config, keep_going=task.keep_going)
        result = played.result
        told = SeedResult(
            int(line), str(result.outcome), result.reason, result.trace_digest, played.steps, played.seconds
        )
        answers.write(msgspec.json.encode(told) + b"\n")
        answers.flush()
        if number % _COLLECT_EVERY == 0:
            gc.collect()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
