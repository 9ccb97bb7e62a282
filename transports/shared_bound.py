"""Memory that several peers make one process hold: a bound for all of them together, which no one can use up.

Bounds for each peer alone add up with the peers, and a bound for all alone would let one peer take it from the others.
So what is held is put on accounts of one bound, and an account may hold as much as is free of it: one peer half
of the bound, two a third each, and so on (Choudhury and Hahne, "Dynamic queue length thresholds", 1998). Those that
came first and never give back leave little to who comes late: whose asks must be served all the same makes room first
(`actors.mailbox.server`). Without I/O. What becomes of who is refused is its owner's matter.
"""

from __future__ import annotations

__all__ = ["Account", "SharedBound"]


class SharedBound:
    """`most` bytes.

    Attributes:
        held: bytes on all accounts.
    """

    __slots__ = ("held", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0

    def account(self) -> Account:
        """Of one peer; it costs nothing while it holds nothing."""
        return Account(self)


class Account:
    """What one peer makes us hold.

    Attributes:
        held: bytes.
    """

    __slots__ = ("_bound", "held")

    def __init__(self, bound: SharedBound) -> None:
        self._bound = bound
        self.held = 0

    def allows(self, size: int, *, freed: int = 0) -> bool:
        """Whether `size` bytes more may be taken, where `freed` of those that are held are about to be given back."""
        return self.held + size <= self._bound.most - self._bound.held + freed

    def take(self, size: int) -> None:
        """Hold so much more, or less; whether it is allowed was asked before."""
        self.held += size
        self._bound.held += size
