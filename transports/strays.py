"""Frames that nobody waits for: a few are ignored, more end the link.

A reply that arrives after its caller gave up is legal and not counted: at most as many can come as calls were given up,
so only that number is kept. Any other frame that matches nothing wastes host time, and no correct agent sends it; a few
are ignored as old agents have bugs. Frames that match but carry nothing (a ping, an empty frame, a stream opened and
cancelled) are legal occasionally: they are rate-limited. Without I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from transports.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IDLE", "MOST_STRAYS", "RESETS", "WINDOWS", "Bucket", "Strays"]

# over the lifetime of a link
MOST_STRAYS = 16


class Rate(NamedTuple):
    """A token bucket's size and its refill per second."""

    burst: float
    per_second: float


# frames without content that we must answer or remember: a busy Go peer pings once for each window measurement,
# about ten a second
IDLE = Rate(1000.0, 100.0)
# calls and streams that are opened and cancelled, or rejected for a peer's violation: each may start a task. An actor
# cancels as many as it has waits and reads
RESETS = Rate(500.0, 100.0)
# a peer needs one or two for each 16 KiB frame that we send
WINDOWS = Rate(20_000.0, 4000.0)


class Bucket:
    """A token bucket; `clock` is monotonic seconds with any origin."""

    __slots__ = ("_at", "_clock", "_left", "_rate")

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate, self._clock = rate, clock
        self._left, self._at = rate.burst, clock()

    def take(self) -> bool:
        """Take a token; False if none is left."""
        now = self._clock()
        self._left = min(self._rate.burst, self._left + (now - self._at) * self._rate.per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Strays:
    """The stray frames of one link.

    Attributes:
        late: replies, or frames without data, that may still come for abandoned calls and streams.
        late_bytes: the same for stream data, as much as their windows allowed.
    """

    __slots__ = ("_count", "late", "late_bytes")

    def __init__(self) -> None:
        self.late = 0
        self.late_bytes = 0
        self._count = 0

    def take_late(self, what: str) -> None:
        """Count an unawaited reply as late, or else as a stray. Raises: RemoteProtocolError."""
        if self.late:
            self.late -= 1
        else:
            self.take(what)

    def take_data(self, size: int, what: str) -> None:
        """Count a frame with `size` bytes on a stream that nobody reads any more. Raises: RemoteProtocolError."""
        if not size:
            self.take_late(what)
        elif size <= self.late_bytes:
            self.late_bytes -= size
        else:
            self.take(what)

    def take(self, what: str) -> None:
        """Count a stray.

        Raises:
            RemoteProtocolError: too many; stop reading this peer.
        """
        self._count += 1
        if self._count > MOST_STRAYS:
            raise RemoteProtocolError(f"the peer sends to nobody, {self._count} times by now; the last was {what}")
