"""One timer task for many deadlines, most of which are never reached.

For asks: adding one costs a heap push and no task, and one that was settled in time costs nothing more. Not
for a single wait: `trio.move_on_at` is that.
"""

from __future__ import annotations

import heapq
from math import inf
from typing import Protocol

import trio

from actors.errors import InvalidArgument

__all__ = ["Deadlines", "Expirable", "checked_seconds"]

# longer than anybody waits, and far below what clocks and messages can count (seconds; 30 years)
FOR_EVER = 1e9

# a heap smaller than this is not worth sweeping
SWEEP_AT = 256


def checked_seconds(seconds: float | None, field: str) -> float:
    """What a caller is ready to wait; infinity for None, and for more than anybody waits.

    Raises:
        InvalidArgument: not a number, or below 0.
    """
    if seconds is None:
        return inf
    # a bool is an int to Python, and no time
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not seconds >= 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        # a whole number may have thousands of digits
        shown = "below 0" if type(seconds) is int else repr(seconds)[:60]
        raise InvalidArgument(f"{field} is {shown}: expected 0 or more seconds, or None for no end", field=field)
    return inf if seconds > FOR_EVER else seconds


class Expirable(Protocol):
    """What a deadline hangs on."""

    @property
    def pending(self) -> bool:
        """Whether the deadline still matters; once False, False for ever."""
        ...

    def expire(self) -> None:
        """The deadline has passed. Must not block or raise."""


class Deadlines:
    """Deadlines on Trio's clock; `run` must be running for them to be kept."""

    def __init__(self) -> None:
        # the number keeps equal deadlines in their order and entries from being compared
        self._heap: list[tuple[float, int, Expirable]] = []
        self._number = 0
        self._sweep_at = SWEEP_AT
        self._armed = inf
        self._earlier = trio.Event()

    def add(self, deadline: float, entry: Expirable) -> None:
        """Have `entry.expire()` called at `deadline` if it is still pending then."""
        self._number += 1
        heapq.heappush(self._heap, (deadline, self._number, entry))
        if len(self._heap) > self._sweep_at:
            self._sweep()
        if deadline < self._armed:
            self._earlier.set()

    def _sweep(self) -> None:
        self._heap = [item for item in self._heap if item[2].pending]
        heapq.heapify(self._heap)
        self._sweep_at = max(SWEEP_AT, 2 * len(self._heap))

    async def run(self) -> None:
        """Keep the deadlines until cancelled."""
        while True:
            now = trio.current_time()
            while self._heap and (self._heap[0][0] <= now or not self._heap[0][2].pending):
                entry = heapq.heappop(self._heap)[2]
                if entry.pending:
                    entry.expire()
            self._armed = self._heap[0][0] if self._heap else inf
            self._earlier = trio.Event()
            with trio.move_on_at(self._armed):
                await self._earlier.wait()
            self._armed = -inf
