"""The sending half of a connection under Trio, shared by client and server of any protocol.

Corked: frames queued in one scheduler pass are sent together, in bursts of `BURST_FRAMES`, which avoids a system
call per frame without idling the peer until all are queued. A lone frame is sent at once, without waking
the writer's task. Bounded: backpressure on senders while too much is unsent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from transports.base import NowaitStream
from transports.parking import ParkingSpot

if TYPE_CHECKING:
    from transports.calls.connection import Outgoing

__all__ = ["CorkedWriter"]

# unsent bytes beyond which nothing more is queued: a few of Kata's largest usual replies
WRITE_BOUND = 1024 * 1024
# queued frames sent at once, so that the peer works on them while we make more: with 16 calls in flight
# 4 gave 46,000-57,000 calls/s, 12 gave 25,000-29,000, no such bound 22,000-24,000 (benchmarks/ttrpc.py)
BURST_FRAMES = 8


class CorkedWriter:
    """Sends what `connection` queues. Its owner calls `flush` after it has queued something."""

    def __init__(self, stream: trio.abc.Stream, connection: Outgoing) -> None:
        self._stream = stream
        self._nowait = stream if isinstance(stream, NowaitStream) else None
        self._connection = connection
        # taken from the connection and not yet accepted by the kernel
        self._rest: bytes | memoryview = b""
        self._idle: ParkingSpot[None] = ParkingSpot()
        self._fresh = True
        self._stopped = False
        self._waiting_for_room = trio.lowlevel.ParkingLot()

    @property
    def full(self) -> bool:
        """Too much is unsent; `await room()` before queuing more."""
        return self._connection.outgoing_bytes + len(self._rest) > WRITE_BOUND and not self._stopped

    async def room(self) -> None:
        """Wait until it is not full, or the writer has stopped."""
        while self.full:
            await self._waiting_for_room.park()

    async def emptied(self) -> None:
        """Wait until everything is sent, or the writer has stopped."""
        while (self._connection.outgoing_bytes or self._rest) and not self._stopped:
            await self._waiting_for_room.park()

    def received(self) -> None:
        """Data came from the peer: only the next `flush(last=True)` may send at once."""
        self._fresh = True

    def flush(self, *, last: bool) -> None:
        """Get queued frames sent: at once if worthwhile, else together with all else queued in this scheduler pass.

        Args:
            last: nothing more is expected in this scheduler pass.
        """
        connection = self._connection
        if not connection.outgoing_bytes:
            return
        if (last and self._fresh) or connection.outgoing_frames >= BURST_FRAMES:
            self._fresh = False
            if self._nowait is not None and not self._rest:
                data = connection.data_to_send()
                try:
                    sent = self._nowait.send_nowait(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    sent = 0  # the writer's task meets the same error, and reports it
                if sent == len(data):
                    return
                # a memoryview: avoids copying the rest of a large reply
                self._rest = memoryview(data)[sent:]
        self._idle.unpark()

    async def run(self) -> None:
        """Send until cancelled.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: from the stream; nothing more will be sent.
        """
        try:
            while True:
                if not self._rest:
                    self._rest = self._connection.data_to_send()
                if self._rest:
                    await self._stream.send_all(self._rest)
                    self._rest = b""
                    self._waiting_for_room.unpark_all()
                else:
                    await self._idle.park()
        finally:
            self._stopped = True
            self._waiting_for_room.unpark_all()
