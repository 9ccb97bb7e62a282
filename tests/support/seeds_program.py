"""Plays seeds and prints a digest a line, with noise on the heap; run in processes of its own by the determinism test.

    python -m tests.support.seeds_program FILE FIRST END NOISE CHANGE

NOISE is the seed of the noise, before the runs and in every scheduler pass; CHANGE is `none`, `checkpoint` (the product
does one checkpoint more) or `leak` (the trace is told the order of a set of objects). FILE `busy`: see `tests.support.busy`.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from actors.scenario.reading.load import load_file
from actors.simulation import schedule
from actors.simulation.run import simulate
from actors.simulation.trace import Trace
from actors.turns import TurnQueue
from actors.worlds.simulated import open_simulated
from actors.worlds.simulated_runs import play
from tests.support.busy import be_busy

if TYPE_CHECKING:
    from actors.simulation.run import Simulation

_KEPT = 400


def make_noise(seed: int) -> None:
    """Allocate and free, now and in every pass, so that no two processes have the same addresses free."""
    noise = random.Random(seed)
    kept: list[Any] = []

    def allocate() -> None:
        kept.append(
            bytearray(noise.randrange(1, 2000))
            if noise.random() < 0.5
            else {number: object() for number in range(noise.randrange(12))}
        )
        if len(kept) > _KEPT:
            noise.shuffle(kept)
            del kept[_KEPT // 2 :]

    for _ in range(20_000):
        allocate()
    shuffle = schedule.Scheduler.shuffle

    def noisy(self: schedule.Scheduler, batch: list[Any]) -> None:
        for _ in range(noise.randrange(3)):
            allocate()
        shuffle(self, batch)

    schedule.Scheduler.shuffle = noisy  # type: ignore[method-assign]  # the product is changed under the test


def one_checkpoint_more() -> None:
    """A verb's turn comes one checkpoint later."""
    turn = TurnQueue.Turn.wait

    async def later(self: TurnQueue.Turn) -> None:
        await turn(self)
        await trio.lowlevel.checkpoint()

    TurnQueue.Turn.wait = later  # type: ignore[method-assign]  # the product is changed under the test


def leak() -> None:
    """What a set of objects, iterated in the product, would do."""
    digest = Trace.digest

    def leaking(self: Trace) -> str:
        objects = {_Thing(number) for number in range(12)}
        self.data("order", " ".join(str(thing.number) for thing in objects).encode())
        return digest(self)

    Trace.digest = leaking  # type: ignore[method-assign]  # the product is changed under the test


class _Thing:
    def __init__(self, number: int) -> None:
        self.number = number


def busy(seed: int) -> str:
    """Callers that cancel, and a guest that dies."""

    async def main(simulation: Simulation) -> None:
        async with open_simulated(simulation) as world:
            await be_busy(
                world.system, simulation.stream("busy"), simulation.trace.data, lambda: world.guests.kill("box0")
            )

    ended = simulate(main, seed)
    return f"{ended.digest} {ended.steps} held"


def main(file: str, first: int, end: int, noise: int, change: str) -> None:
    {"none": lambda: None, "checkpoint": one_checkpoint_more, "leak": leak}[change]()
    loaded = None if file == "busy" else load_file(Path(file))
    make_noise(noise)
    for seed in range(first, end):
        if loaded is None:
            told = busy(seed)
        else:
            played = play(loaded, seed)
            told = f"{played.result.trace_digest} {played.steps} {played.result.outcome}"
        print(seed, told)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
