"""What a peer sends to nobody: a few are overlooked, and more end the link.

For connections, which know what was asked. A reply that comes after its caller gave up is lawful and is not counted:
there can be as many as calls were given up, so that number is all that is remembered of them. Whatever else is for
nobody costs the host time that others want, and no agent means it; a few are overlooked as old agents have their bugs.
What is for somebody and carries nothing (a ping, an empty frame, a stream that is begun and taken back) is lawful now and
then: for it there are rates. Without I/O; the clock is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from transports.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IDLE", "MOST_STRAYS", "RESETS", "WINDOWS", "Bucket", "Strays"]

# over the life of one link
MOST_STRAYS = 16


class Rate(NamedTuple):
    """So many at once, and so many a second."""

    burst: float
    per_second: float


# frames that carry nothing and that we have to answer or to remember: a busy Go peer pings once for each window it
# measures, some ten a second
IDLE = Rate(1000.0, 100.0)
# calls and streams that are begun and taken back, or refused for the peer's fault: each may start a task. An actor takes
# back as many as it has waits and reads
RESETS = Rate(500.0, 100.0)
# one or two for each frame of 16 KiB that we send is the most that a peer has a use for
WINDOWS = Rate(20_000.0, 4000.0)


class Bucket:
    """What is left of a rate; `clock` is in seconds, from anywhere."""

    __slots__ = ("_at", "_clock", "_left", "_rate")

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate, self._clock = rate, clock
        self._left, self._at = rate.burst, clock()

    def take(self) -> bool:
        """One more; False when there are too many."""
        now = self._clock()
        self._left = min(self._rate.burst, self._left + (now - self._at) * self._rate.per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Strays:
    """Of one link.

    Attributes:
        late: answers that may still come though nobody waits for them any more; of streams, frames without data.
        late_bytes: the same of data on streams, by what their windows had room for.
    """

    __slots__ = ("_count", "late", "late_bytes")

    def __init__(self) -> None:
        self.late = 0
        self.late_bytes = 0
        self._count = 0

    def take_late(self, what: str) -> None:
        """An answer that nobody waits for: one of the late, or a stray. Raises: RemoteProtocolError."""
        if self.late:
            self.late -= 1
        else:
            self.take(what)

    def take_data(self, size: int, what: str) -> None:
        """A frame with `size` bytes on a stream that nobody reads any more. Raises: RemoteProtocolError."""
        if not size:
            self.take_late(what)
        elif size <= self.late_bytes:
            self.late_bytes -= size
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
