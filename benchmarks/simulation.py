"""How fast simulated runs go on one core: seeds, virtual time, task steps with the trace on.

Each round is a process of its own, `python -m benchmarks.simulation SIDE COUNT`, since a simulation owns its process's
scheduler; what counts is the CPU time that it spent, once everything was imported.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING

import trio

from benchmarks.figure import Comparison, Effort, Figure, Goal, Measured, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable

FLAGSHIP = Path(__file__).resolve().parents[1] / "scenarios" / "pause-one-of-two.yaml"
# what containers do most of the time: little
CALM = b"""\
name: ten calm minutes
why: to see how fast time goes by
sandboxes:
  box:
    containers:
      one: {command: "while true; do echo tick; sleep 1; done"}
      two: {command: "while true; do echo tick; sleep 2; done"}
limits: {total: 20m}
steps:
  - {sleep: 10m}
"""
# tasks in a ring, each of which hands on what it gets
TASKS = 20
LAPS = 500


async def _count(side: str, count: int) -> float:
    done = await trio.run_process(
        [sys.executable, "-m", "benchmarks.simulation", side, str(count)], capture_stdout=True
    )
    return float(done.stdout)


async def _seeds(effort: Effort) -> Measured:
    (rounds,) = await take_turns(effort.rounds(5), lambda: _count("seeds", effort.times(24)))
    return Measured(rounds, notes={"scenario": FLAGSHIP.name})


async def _time(effort: Effort) -> Measured:
    (rounds,) = await take_turns(effort.rounds(5), lambda: _count("time", 1))
    return Measured(rounds, notes={"scenario": "two containers that print a line in 1 and in 2 s, ten minutes"})


async def _steps(effort: Effort) -> Measured:
    ours, bare = await take_turns(
        effort.rounds(7), lambda: _count("steps", effort.times(8)), lambda: _count("bare", effort.times(8))
    )
    return Measured(ours, [Comparison("the same tasks under plain Trio", bare)])


def _play_seeds(count: int) -> float:
    """Seeds a second."""
    from actors.scenario.reading.load import load_file
    from actors.worlds.simulated_runs import play

    loaded = load_file(FLAGSHIP)
    play(loaded, 0)
    gc.freeze()
    began = process_time()
    for seed in range(count):
        result = play(loaded, seed).result
        if result.outcome != "held":
            raise RuntimeError(f"seed {seed}: {result.reason}")
    return count / (process_time() - began)


def _play_calm(count: int) -> float:
    """Virtual seconds in one real second."""
    from actors.scenario.reading.load import load_text
    from actors.worlds.simulated_runs import play

    loaded = load_text(CALM, "calm")
    began = process_time()
    virtual = sum(play(loaded, seed).seconds for seed in range(count))
    return virtual / (process_time() - began)


def _simulated_steps(count: int) -> float:
    """Task steps a second."""
    steps = _run_simulated(1)
    began = process_time()
    for seed in range(count):
        _run_simulated(seed)
    return count * steps / (process_time() - began)


def _bare_steps(count: int) -> float:
    """The same, as many as the simulated run counts."""
    steps = _run_simulated(1)
    began = process_time()
    for _ in range(count):
        trio.run(_ring)
    return count * steps / (process_time() - began)


def _run_simulated(seed: int) -> int:
    from actors.simulation.run import Simulation, simulate

    async def main(_: Simulation) -> None:
        await _ring()

    return simulate(main, seed).steps


async def _ring() -> None:
    ends = [trio.open_memory_channel[int](1) for _ in range(TASKS)]

    async def hand_on(number: int) -> None:
        receive, send = ends[number][1], ends[(number + 1) % TASKS][0]
        for _ in range(LAPS):
            await send.send(await receive.receive())

    async with trio.open_nursery() as nursery:
        for number in range(TASKS):
            ends[number][0].send_nowait(number)
            nursery.start_soon(hand_on, number)


SIDES: dict[str, Callable[[int], float]] = {
    "seeds": _play_seeds,
    "time": _play_calm,
    "steps": _simulated_steps,
    "bare": _bare_steps,
}

FIGURES = (
    Figure(
        "simulated_seeds",
        "the flagship scenario on one seed after the other, one core",
        "seeds/s",
        _seeds,
        goal=Goal(least=40, of_value=True),
    ),
    Figure(
        "simulated_time",
        "virtual against real time, two containers that do little",
        "virtual s/s",
        _time,
        goal=Goal(least=500, of_value=True),
    ),
    Figure(
        "simulated_steps",
        "task steps with the trace on",
        "steps/s",
        _steps,
        goal=Goal(least=80_000, of_value=True),
    ),
)

if __name__ == "__main__":
    print(SIDES[sys.argv[1]](int(sys.argv[2])))
