"""A wait for one task: the cheapest there is, where one more step would be paid for each message.

`trio.lowlevel.ParkingLot` keeps an ordered dict of who waits, makes a closure for each wait and a list for each wake; a spot is half
of that (`benchmarks/mailbox.py` has the asks that wait here), and who wakes may hand over a value or an error. Where several tasks
wait, for room or for a change, a `ParkingLot` is right; where it happens seldom, `trio_util`; where turns go by arrival, `trio.Lock`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

if TYPE_CHECKING:
    import outcome

__all__ = ["ParkingSpot"]

T = TypeVar("T")


class ParkingSpot(Generic[T]):
    """Where one task waits to be woken, with a `T` or an error. Cancelled, it has left the spot by the time that it runs."""

    __slots__ = ("_parked",)

    def __init__(self) -> None:
        self._parked: trio.lowlevel.Task | None = None

    def __bool__(self) -> bool:
        """Whether a task waits here."""
        return self._parked is not None

    async def park(self) -> T:
        """Wait here: what `unpark` hands over. Raises: trio.BusyResourceError, another task waits here."""
        if self._parked is not None:
            raise trio.BusyResourceError("another task waits here")
        self._parked = trio.lowlevel.current_task()
        result: T = await trio.lowlevel.wait_task_rescheduled(self._leave)
        return result

    def unpark(self, result: outcome.Outcome[T] | None = None) -> None:
        """Wake who waits here, if anybody does; it gets `result`, or None."""
        task, self._parked = self._parked, None
        if task is None:
            return
        if result is None:
            trio.lowlevel.reschedule(task)
        else:
            trio.lowlevel.reschedule(task, result)

    def _leave(self, _raise: Any) -> trio.lowlevel.Abort:
        # at once, not when the task runs again: an unpark in between must not wake it twice
        self._parked = None
        return trio.lowlevel.Abort.SUCCEEDED
