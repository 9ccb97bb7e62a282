"""Numbers of calls and streams as a peer draws them: each serves once, and they grow, but not in order.

For protocols whose other side draws a number first and queues the frame afterwards, in many tasks at once: hashicorp's yamux and
ttrpc-rust do so. Not for numbers of our own. Without I/O.
"""

from __future__ import annotations

__all__ = ["OVERTAKEN", "Numbers"]

# numbers that may still come after a higher one: of so many that a peer draws at the same moment
OVERTAKEN = 64


class Numbers:
    """Every second one, from `first` on.

    Attributes:
        highest: that was used; 0 before the first.
    """

    __slots__ = ("_first", "_passed_over", "highest")

    def __init__(self, first: int) -> None:
        self._first = first
        self.highest = 0
        # below it, and not used yet
        self._passed_over: dict[int, None] = {}

    def fresh(self, number: int) -> bool:
        """Whether it may still be used."""
        return number > self.highest or number in self._passed_over

    def use(self, number: int) -> None:
        """It serves from now on, and no second time. It is fresh."""
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
