"""One simulation: the digest covers what happens, a stuck one ends at once and says who waits, Trio is as it was before."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio._core._run as run_module

from actors.simulation import schedule
from actors.simulation.deadlock import Deadlock
from actors.simulation.run import simulate
from actors.simulation.schedule import UnsupportedTrio

if TYPE_CHECKING:
    from actors.simulation.run import Ended, Simulation

# of Trio: what `simulate` changes while it runs
PRIVATE_NAMES = ("_ALLOW_DETERMINISTIC_SCHEDULING", "_r")


async def _racers(simulation: Simulation, checkpoints: int = 1) -> list[int]:
    order: list[int] = []

    async def racer(number: int) -> None:
        for _ in range(checkpoints):
            await trio.lowlevel.checkpoint()
        await trio.sleep(1.0)
        order.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(racer, number)
    return order


def test_the_same_seed_gives_the_same_run_and_others_give_others() -> None:
    runs = [simulate(_racers, seed) for seed in range(40)]
    again = [simulate(_racers, seed) for seed in range(40)]
    assert runs == again
    assert len({run.digest for run in runs}) == 40
    assert len({tuple(run.value) for run in runs}) > 30


def test_virtual_time_costs_no_real_time() -> None:
    async def main(_: Simulation) -> float:
        await trio.sleep(50_000)
        return trio.current_time()

    began = time.perf_counter()
    ended = simulate(main, 1)
    assert (ended.value, ended.seconds) == (50_000, 50_000)
    assert time.perf_counter() - began < 5


def _digest(**changes: Any) -> str:
    async def main(simulation: Simulation) -> None:
        given: dict[str, Any] = {"steps": 2, "sleep": 1.0, "draws": 1, "data": b"x", "name": None, **changes}
        draws = simulation.stream("test")

        async def task() -> None:
            for _ in range(given["steps"]):
                await trio.lowlevel.checkpoint()
            await trio.sleep(given["sleep"])
            for _ in range(given["draws"]):
                draws.random()
            simulation.trace.data("data", given["data"])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(task, name=given["name"])

    return simulate(main, 3).digest


@pytest.mark.parametrize(
    "changes", [{"steps": 3}, {"sleep": 1.0000001}, {"draws": 2}, {"data": b"y"}, {"name": "another"}]
)
def test_one_thing_more_is_another_digest(changes: dict[str, Any]) -> None:
    assert _digest() == _digest()
    assert _digest(**changes) != _digest()


def test_one_stream_of_randomness_does_not_disturb_another() -> None:
    async def main(simulation: Simulation, spent: int) -> float:
        await trio.lowlevel.checkpoint()
        noisy, quiet = simulation.stream("noisy"), simulation.stream("quiet")
        for _ in range(spent):
            noisy.random()
        return quiet.random()

    assert simulate(lambda s: main(s, 0), 5).value == simulate(lambda s: main(s, 9), 5).value


def test_everything_blocked_is_a_deadlock_that_says_who_waits_for_what() -> None:
    first, second = trio.Lock(), trio.Lock()

    async def one() -> None:
        async with first:
            await trio.sleep(1)
            await second.acquire()

    async def other() -> None:
        async with second:
            await trio.sleep(1)
            await first.acquire()

    async def main(_: Simulation) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, name="one")
            nursery.start_soon(other, name="other")

    began = time.perf_counter()
    with pytest.raises(Deadlock) as raised:
        simulate(main, 1)
    assert time.perf_counter() - began < 2
    deadlock = raised.value
    assert deadlock.seconds == 1.0
    assert len(deadlock.digest) == 32
    assert "everything waits, and no timer runs" in deadlock.reason
    assert any(line.startswith("one: waits at tests/unit/simulation/test_run.py:") for line in deadlock.waiting)
    assert any("other: waits at" in line and "Impl.acquire" in line for line in deadlock.waiting)


def test_a_deadlock_that_swallows_the_cancel_ends_as_well() -> None:
    async def main(_: Simulation) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()

    with pytest.raises(Deadlock, match="everything waits"):
        simulate(main, 1)


def test_finally_still_runs_in_a_deadlock() -> None:
    cleaned: list[float] = []

    async def main(_: Simulation) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)
                cleaned.append(trio.current_time())

    with pytest.raises(Deadlock):
        simulate(main, 1)
    assert cleaned == [2.0]


def test_timers_alone_for_ever_come_to_the_horizon() -> None:
    async def main(_: Simulation) -> None:
        for _turn in range(1_000_000):
            await trio.sleep(100)

    with pytest.raises(Deadlock, match="the end of a simulation"):
        simulate(main, 1, horizon=10_000)


def test_a_spin_without_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "_PASSES_AT_ONE_TIME", 5_000)

    async def main(_: Simulation) -> None:
        while True:
            await trio.lowlevel.checkpoint()

    with pytest.raises(Deadlock, match="no time goes by"):
        simulate(main, 1)


def test_errors_come_out_bare_and_the_next_run_is_not_disturbed() -> None:
    async def main(_: Simulation) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(failing)

    async def failing() -> None:
        await trio.lowlevel.checkpoint()
        raise LookupError("mine")

    before = simulate(_racers, 7)
    with pytest.raises(LookupError, match="mine"):
        simulate(main, 1)
    assert simulate(_racers, 7) == before


def test_trio_and_the_collector_are_as_they_were() -> None:
    def seen() -> list[object]:
        return [*(getattr(run_module, name) for name in PRIVATE_NAMES), gc.isenabled()]

    before = seen()
    simulate(_racers, 1)
    assert seen() == before


def test_one_simulation_at_a_time() -> None:
    async def main(_: Simulation) -> None:
        await trio.lowlevel.checkpoint()
        simulate(_racers, 1)

    with pytest.raises(RuntimeError, match="one at a time"):
        simulate(main, 1)


def test_a_log_has_every_line_and_changes_nothing() -> None:
    def lines(seed: int) -> tuple[Ended[list[int]], list[str]]:
        seen: list[str] = []
        return simulate(_racers, seed, log=seen.append), seen

    ended, seen = lines(4)
    assert ended == simulate(_racers, 4)
    assert (ended, seen) == lines(4)
    assert sum(len(line.split()) - 1 for line in seen if line.startswith("pass ")) == ended.steps
    assert "time 1.0" in seen
    assert any(line.startswith("task ") and "racer" in line for line in seen)


@pytest.mark.parametrize("version", ["0.34.0", "0.36.0", "1.0.0"])
def test_a_trio_that_nobody_looked_at_is_refused(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio, "__version__", version)
    with pytest.raises(UnsupportedTrio, match="TESTED_TRIO"):
        simulate(_racers, 1)


@pytest.mark.parametrize("name", PRIVATE_NAMES)
def test_private_names_that_moved_are_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(run_module, name)
    with pytest.raises(UnsupportedTrio, match="private names have moved"):
        simulate(_racers, 1)


def test_a_trio_that_does_not_ask_for_the_order_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # as it would be if the names stayed and nothing used them any more
    asked = schedule.Scheduler.shuffle

    def ignored(self: schedule.Scheduler, batch: list[Any]) -> None:
        newest = self._newest  # what tells that it was asked
        asked(self, batch)
        self._newest = newest  # the same

    monkeypatch.setattr(schedule.Scheduler, "shuffle", ignored)
    with pytest.raises(UnsupportedTrio, match="did not ask"):
        simulate(_racers, 1)
