"""What a peer sends to nobody: a few are overlooked, and more end the link.

For connections, which know what was asked. A reply that comes after its caller gave up is lawful and is not counted:
there can be as many as calls were given up, so that number is all that is remembered of them. Whatever else is for
nobody costs the host time that others want, and no agent means it; a few are overlooked as old agents have their bugs.
Without I/O.
"""

from __future__ import annotations

from transports.errors import RemoteProtocolError

__all__ = ["MOST_STRAYS", "Strays"]

# over the life of one link
MOST_STRAYS = 16


class Strays:
    """Of one link.

    Attributes:
        late: answers that may still come though nobody waits for them any more.
    """

    __slots__ = ("_count", "late")

    def __init__(self) -> None:
        self.late = 0
        self._count = 0

    def take_late(self, what: str) -> None:
        """An answer that nobody waits for: one of the late, or a stray. Raises: RemoteProtocolError."""
        if self.late:
            self.late -= 1
        else:
            self.take(what)

    def take(self, what: str) -> None:
        """One more stray.

        Raises:
            RemoteProtocolError: there have been too many; nothing of this peer should be read any more.
        """
        self._count += 1
        if self._count > MOST_STRAYS:
            raise RemoteProtocolError(f"the peer sends to nobody, {self._count} times by now; the last was {what}")
