"""A bound on memory that several peers together make one process hold, which no single peer can use up.

Per-peer bounds add up with the number of peers, and one global bound alone would let a peer starve the others.
So memory is charged to accounts of one bound, and an account may hold as much as is still free: one peer half
of the bound, two a third each, and so on (Choudhury and Hahne, "Dynamic queue length thresholds", 1998). Early
holders that never release leave little to latecomers: code that must serve those regardless makes room first
(`actors.mailbox.server`). Without I/O. The owner decides what happens to a refused peer.
"""

from __future__ import annotations

__all__ = ["Account", "SharedBound"]


class SharedBound:
    """A bound of `most` bytes.

    Attributes:
        held: bytes charged to all accounts.
    """

    __slots__ = ("held", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0

    def account(self) -> Account:
        """An account for one peer; free while it holds nothing."""
        return Account(self)


class Account:
    """What one peer holds.

    Attributes:
        held: bytes.
    """

    __slots__ = ("_bound", "held")

    def __init__(self, bound: SharedBound) -> None:
        self._bound = bound
        self.held = 0

    def allows(self, size: int, *, freed: int = 0) -> bool:
        """Whether `size` more bytes may be held, if `freed` held bytes are about to be released."""
        return self.held + size <= self._bound.most - self._bound.held + freed

    def take(self, size: int) -> None:
        """Charge `size` bytes, or release if negative; the caller has checked `allows`."""
        self.held += size
        self._bound.held += size
