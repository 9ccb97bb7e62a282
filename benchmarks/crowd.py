"""What a thousand container actors cost: memory, descriptors, and what an ask of one of them takes.

On the noop agent, so that nothing but the actors is there. Each count is a process of its own:
`python -m benchmarks.crowd facts|turns N`.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
from functools import partial
from itertools import cycle, islice
from subprocess import DEVNULL
from time import perf_counter
from typing import TYPE_CHECKING

import trio

from actors.api import open_system
from actors.wire.spec import ContainerSpec, ProcessSpec
from benchmarks.figure import Comparison, Effort, Figure, Goal, Measured, take_turns
from benchmarks.processes import open_turns

if TYPE_CHECKING:
    from actors.handles import ContainerHandle, SystemHandle

MANY, FEW = 1_000, 10
PER_SANDBOX = 500
ROUNDS = 7
ASKS = 600
KB = 1000


async def _rss(effort: Effort) -> Measured:
    values = [float((await _facts(MANY))["bytes_each"]) / KB for _ in range(effort.rounds(3))]
    return Measured(values)


async def _fds(effort: Effort) -> Measured:
    return Measured([float((await _facts(MANY))["descriptors"])])


async def _p50(effort: Effort) -> Measured:
    times = effort.times(ASKS)
    async with (
        open_turns("benchmarks.crowd", "turns", str(MANY), python=sys.executable) as many,
        open_turns("benchmarks.crowd", "turns", str(FEW), python=sys.executable) as few,
    ):
        ours, theirs = await take_turns(effort.rounds(ROUNDS), partial(many, times), partial(few, times))
    return Measured(ours, [Comparison(f"the same with {FEW} actors", theirs, Goal(most=1.3))])


async def _facts(count: int) -> dict[str, int]:
    command = [sys.executable, "-m", "benchmarks.crowd", "facts", str(count)]
    done = await trio.run_process(command, capture_stdout=True, stdin=DEVNULL)
    found: dict[str, int] = json.loads(done.stdout)
    return found


async def _populate(system: SystemHandle, count: int, prefix: str = "box") -> list[ContainerHandle]:
    spec = ContainerSpec(process=ProcessSpec(args=("/bin/true",)))
    made: list[ContainerHandle] = []
    while len(made) < count:
        box = await system.create_sandbox(f"{prefix}{len(made)}")
        await box.start()
        for number in range(min(PER_SANDBOX, count - len(made))):
            container = await box.create_container(f"c{number}", spec)
            await container.start()
            made.append(container)
    return made


async def _tell_facts(count: int) -> None:
    async with open_system(agent="noop") as system:
        # what the first of a kind brings is not counted
        await _populate(system, FEW, "first")
        gc.collect()
        before = _resident_bytes()
        await _populate(system, count)
        gc.collect()
        grown = _resident_bytes() - before
        print(json.dumps({"bytes_each": grown // count, "descriptors": len(os.listdir("/proc/self/fd"))}))


async def _take_turns(count: int) -> None:
    async with open_system(agent="noop") as system:
        containers = cycle(await _populate(system, count))
        print("ready", flush=True)
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            taken: list[float] = []
            for container in islice(containers, int(line)):
                began = perf_counter()
                await container.info()
                taken.append(perf_counter() - began)
            print(statistics.median(taken) * 1e6, flush=True)


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


FIGURES = (
    Figure("actors_1000_rss", "memory of one container actor among 1,000", "KB", _rss, Goal(most=40, of_value=True)),
    Figure("actors_1000_fds", "descriptors of a process with 1,000 actors", "", _fds, Goal(most=50, of_value=True)),
    Figure("actors_1000_ask_p50", "p50 of an ask of one of 1,000 actors, each in turn", "us", _p50),
)

if __name__ == "__main__":
    trio.run({"facts": _tell_facts, "turns": _take_turns}[sys.argv[1]], int(sys.argv[2]))
