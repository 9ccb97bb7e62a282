"""The lane: who may run beside whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from actors.lane import Lane
from actors.wire.verbs import Overlap

if TYPE_CHECKING:
    from trio.testing import MockClock

E, P, S, B = Overlap.EXCLUSIVE, Overlap.PREEMPTIVE, Overlap.SHARED, Overlap.BESIDE


def test_exclusive_ones_take_turns_in_arrival_order() -> None:
    lane = Lane()
    first, second = lane.ticket(E), lane.ticket(E)
    assert first.called
    assert not second.called
    with first:
        pass
    assert second.called


def test_shared_ones_run_together_and_an_exclusive_one_waits_for_them() -> None:
    lane = Lane()
    one, two, alone, three = lane.ticket(S), lane.ticket(S), lane.ticket(E), lane.ticket(S)
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
    lane = Lane()
    stuck, waiting = lane.ticket(S), lane.ticket(E)
    stop = lane.ticket(P)
    assert stuck.called
    assert stop.called
    assert not waiting.called


def test_a_preemptive_one_waits_for_an_exclusive_one_that_runs() -> None:
    lane = Lane()
    running, waiting, stop, later_stop = lane.ticket(E), lane.ticket(E), lane.ticket(P), lane.ticket(P)
    with running:
        assert not stop.called
    assert stop.called
    assert not later_stop.called
    with stop:
        pass
    assert later_stop.called
    assert not waiting.called


def test_beside_is_never_held_up() -> None:
    lane = Lane()
    lane.ticket(E)
    assert lane.ticket(B).called


def test_a_place_given_up_lets_the_next_go() -> None:
    lane = Lane()
    stuck = lane.ticket(S)
    with lane.ticket(E):
        follower = lane.ticket(S)
        assert not follower.called
    assert follower.called
    assert stuck.called


async def test_a_turn_is_awaited(autojump_clock: MockClock) -> None:
    lane = Lane()
    order: list[str] = []

    async def work(name: str, overlap: Overlap) -> None:
        with lane.ticket(overlap) as ticket:
            await ticket.turn()
            order.append(name)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        with lane.ticket(E):
            nursery.start_soon(work, "a", E)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(work, "b", E)
            await trio.testing.wait_all_tasks_blocked()
            assert order == []
    assert order == ["a", "b"]


@given(st.lists(st.tuples(st.sampled_from([E, P, S]), st.integers(0, 5)), max_size=40))
def test_no_exclusive_one_ever_overlaps_another_and_everybody_gets_a_turn(script: list[tuple[Overlap, int]]) -> None:
    lane = Lane()
    live: list[Lane.Ticket] = []
    for overlap, leaver in script:
        live.append(lane.ticket(overlap))
        running = [ticket for ticket in live if ticket.called]
        exclusive = [ticket for ticket in running if ticket.overlap is not S]
        assert len(exclusive) <= 1
        if any(ticket.overlap is E for ticket in exclusive):
            assert len(running) == 1
        if leaver < len(live):
            with live.pop(leaver):
                pass
    while live:
        running = [ticket for ticket in live if ticket.called]
        assert running, "somebody waits though nobody runs"
        live.remove(running[0])
        with running[0]:
            pass
