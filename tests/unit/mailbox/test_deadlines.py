"""What a caller may be ready to wait, and the timer that keeps it."""

from __future__ import annotations

import gc
import weakref
from math import inf
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from actors.errors import InvalidArgument
from actors.mailbox.deadlines import FOR_EVER, SWEEP_AT, Deadlines, checked_seconds

if TYPE_CHECKING:
    from trio.testing import MockClock


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "below 0"),
        (-0.5, "-0.5"),
        (float("nan"), "nan"),
        (-inf, "-inf"),
        (True, "True"),
        ("5", "'5'"),
        ("x" * 100, "'" + "x" * 59),
        pytest.param(-(10**5000), "below 0", id="many digits"),
    ],
)
def test_what_is_no_time_is_refused_and_shown(seconds: Any, shown: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        checked_seconds(seconds, "timeout")
    assert caught.value.message == f"timeout is {shown}: expected 0 or more seconds, or None for no end"
    assert caught.value.details == {"field": "timeout"}


@pytest.mark.parametrize(
    ("seconds", "meant"), [(None, inf), (0, 0), (2.5, 2.5), (FOR_EVER, FOR_EVER), (2 * FOR_EVER, inf), (10**400, inf)]
)
def test_what_is_more_than_anybody_waits_has_no_end(seconds: Any, meant: float) -> None:
    assert checked_seconds(seconds, "timeout") == meant


class _Entry:
    """Notes when it expired."""

    def __init__(self, *, pending: bool = True) -> None:
        self.pending = pending
        self.at: list[float] = []

    def expire(self) -> None:
        self.pending = False
        self.at.append(trio.current_time())


async def test_each_deadline_is_kept_whenever_it_was_added_and_in_whatever_order(autojump_clock: MockClock) -> None:
    deadlines = Deadlines()
    began = trio.current_time()
    entries: dict[float, _Entry] = {}

    def add(*seconds: float) -> None:
        for after in seconds:
            entries[after] = _Entry()
            deadlines.add(began + after, entries[after])

    async with trio.open_nursery() as nursery:
        add(3, 1)
        nursery.start_soon(deadlines.run)
        await trio.testing.wait_all_tasks_blocked()
        # earlier than what it waits for, later, and between
        add(0.5, 9, 2)
        settled = _Entry()
        deadlines.add(began + 1.5, settled)
        settled.pending = False
        await trio.sleep(5)
        add(6, 5.5, 4)
        await trio.sleep(10)
        # after it has waited for nothing
        add(20)
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    # added when it had passed already
    late: dict[float, float] = {4: 5}
    assert {after: entry.at for after, entry in entries.items()} == {
        after: [pytest.approx(began + late.get(after, after))] for after in entries
    }
    assert settled.at == []


async def test_what_was_settled_in_time_is_swept_and_what_waits_stays(autojump_clock: MockClock) -> None:
    deadlines = Deadlines()
    freed = _Entry(pending=False)
    gone = weakref.ref(freed)
    waits = _Entry()
    deadlines.add(trio.current_time() + 50, freed)
    deadlines.add(trio.current_time() + 50, waits)
    del freed
    for _ in range(SWEEP_AT):
        deadlines.add(trio.current_time() + 100, _Entry(pending=False))
    gc.collect()
    assert gone() is None, "half a minute's asks would be kept for half a minute"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deadlines.run)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert waits.at
