"""Ids of calls and streams that a peer allocates: each is used once, and they grow, but may arrive out of order.

Some peers allocate an id first and queue the frame afterwards, in concurrent tasks: hashicorp's yamux and
ttrpc-rust do so. Our own ids need none of this. Without I/O.
"""

from __future__ import annotations

__all__ = ["OVERTAKEN", "Numbers"]

# ids that may still arrive after a higher one: as many as a peer allocates concurrently
OVERTAKEN = 64


class Numbers:
    """Ids in steps of two, from `first` on.

    Attributes:
        highest: the highest id used; 0 before the first.
    """

    __slots__ = ("_first", "_passed_over", "highest")

    def __init__(self, first: int) -> None:
        self._first = first
        self.highest = 0
        # below `highest`, and not used yet
        self._passed_over: dict[int, None] = {}

    def fresh(self, number: int) -> bool:
        """Whether it may still be used."""
        return number > self.highest or number in self._passed_over

    def use(self, number: int) -> None:
        """Mark an id as used; it must be `fresh`."""
        if number == self.highest + 2:
            self.highest = number
            return
        if number < self.highest:
            del self._passed_over[number]
            return
        lowest = max(self.highest + 2 if self.highest else self._first, number - 2 * OVERTAKEN)
        for passed_over in range(lowest, number, 2):
            self._passed_over[passed_over] = None
        while len(self._passed_over) > OVERTAKEN:
            del self._passed_over[next(iter(self._passed_over))]
        self.highest = number
