"""The turn queue: who may run beside whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from actors.turns import TurnQueue
from actors.wire.verbs import Concurrency

if TYPE_CHECKING:
    from trio.testing import MockClock

E, P, S, B = Concurrency.EXCLUSIVE, Concurrency.PREEMPTIVE, Concurrency.SHARED, Concurrency.BESIDE


def test_exclusive_ones_take_turns_in_arrival_order() -> None:
    turns = TurnQueue()
    first, second = turns.take(E), turns.take(E)
    assert first.called
    assert not second.called
    with first:
        pass
    assert second.called


def test_shared_ones_run_together_and_an_exclusive_one_waits_for_them() -> None:
    turns = TurnQueue()
    one, two, alone, three = turns.take(S), turns.take(S), turns.take(E), turns.take(S)
    assert one.called
    assert two.called
    assert not alone.called
    assert not three.called, "a later shared one does not overtake the exclusive one"
    with one:
        pass
    assert not alone.called
    with two:
        pass
    assert alone.called
    assert not three.called


def test_a_preemptive_one_waits_neither_for_a_stuck_shared_one_nor_behind_the_queue() -> None:
    turns = TurnQueue()
    stuck, waiting = turns.take(S), turns.take(E)
    stop = turns.take(P)
    assert stuck.called
    assert stop.called
    assert not waiting.called


def test_a_preemptive_one_waits_for_an_exclusive_one_that_runs() -> None:
    turns = TurnQueue()
    running, waiting, stop, later_stop = turns.take(E), turns.take(E), turns.take(P), turns.take(P)
    with running:
        assert not stop.called
    assert stop.called
    assert not later_stop.called
    with stop:
        pass
    assert later_stop.called
    assert not waiting.called


def test_beside_is_never_held_up() -> None:
    turns = TurnQueue()
    turns.take(E)
    assert turns.take(B).called


def test_a_place_given_up_lets_the_next_go() -> None:
    turns = TurnQueue()
    stuck = turns.take(S)
    with turns.take(E):
        follower = turns.take(S)
        assert not follower.called
    assert follower.called
    assert stuck.called


async def test_a_turn_is_awaited(autojump_clock: MockClock) -> None:
    turns = TurnQueue()
    order: list[str] = []

    async def work(name: str, concurrency: Concurrency) -> None:
        with turns.take(concurrency) as turn:
            await turn.wait()
            order.append(name)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        with turns.take(E):
            nursery.start_soon(work, "a", E)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(work, "b", E)
            await trio.testing.wait_all_tasks_blocked()
            assert order == []
    assert order == ["a", "b"]


@given(st.lists(st.tuples(st.sampled_from([E, P, S]), st.integers(0, 5)), max_size=40))
def test_no_exclusive_one_ever_overlaps_another_and_everybody_gets_a_turn(
    script: list[tuple[Concurrency, int]],
) -> None:
    turns = TurnQueue()
    live: list[TurnQueue.Turn] = []
    for concurrency, leaver in script:
        live.append(turns.take(concurrency))
        running = [turn for turn in live if turn.called]
        exclusive = [turn for turn in running if turn.concurrency is not S]
        assert len(exclusive) <= 1
        if any(turn.concurrency is E for turn in exclusive):
            assert len(running) == 1
        if leaver < len(live):
            with live.pop(leaver):
                pass
    while live:
        running = [turn for turn in live if turn.called]
        assert running, "somebody waits though nobody runs"
        live.remove(running[0])
        with running[0]:
            pass
