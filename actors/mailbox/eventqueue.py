"""Events of one subscription that wait for their reader's credit: bounded, the oldest give way.

Pure. Not for chunks: their producer waits instead.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from actors.wire.envelope import CHUNK_COST, Event

if TYPE_CHECKING:
    import msgspec

    from transports.shared_bound import Account

__all__ = ["EventQueue"]


class EventQueue:
    """Holds at most `limit` bytes, each event's own and `CHUNK_COST`, and fewer when its client's `account` allows no
    more; the newest always has a place, unless it costs more than `largest`: then it would wait for ever for a
    reader's credit, and is left out.
    """

    __slots__ = ("_account", "_bytes", "_largest", "_limit", "_lost", "_number", "_waiting")

    def __init__(self, limit: int, largest: int, account: Account) -> None:
        self._account = account
        self._limit = limit
        self._largest = largest
        self._waiting: deque[tuple[int, int, msgspec.Raw]] = deque()
        self._bytes = 0
        self._number = 0
        # left out since the last that was taken
        self._lost = 0

    @property
    def next_cost(self) -> int | None:
        """What the oldest costs of the reader's credit; None when there is none."""
        return self._waiting[0][1] if self._waiting else None

    def put(self, value: msgspec.Raw) -> None:
        """Add the newest event."""
        cost = len(bytes(value)) + CHUNK_COST
        number = self._number
        self._number += 1
        if cost > self._largest:
            self._lost += 1
            return
        self._waiting.append((number, cost, value))
        self._hold(cost)
        while len(self._waiting) > 1 and (self._bytes > self._limit or not self._account.allows(0)):
            self._hold(-self._waiting.popleft()[1])
            self._lost += 1

    def clear(self) -> None:
        """Nobody reads any more."""
        self._waiting.clear()
        self._hold(-self._bytes)

    def _hold(self, cost: int) -> None:
        self._bytes += cost
        self._account.take(cost)

    def take(self, counter: int) -> Event:
        """The oldest, as the envelope that answers ask `counter`."""
        number, cost, value = self._waiting.popleft()
        self._hold(-cost)
        lost, self._lost = self._lost, 0
        return Event(counter, number, value, lost)
