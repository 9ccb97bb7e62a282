"""The task that sends, one scheduler pass later, what endpoints queued in this one.

That is where coalescing comes from: all that one pass queues leaves in one frame, without a timer. Not for a
lone message: the endpoint sends that at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from transports.parking import ParkingSpot

if TYPE_CHECKING:
    from transports.nng.endpoint import NngEndpoint

__all__ = ["Flusher"]

# nng's queue before all pipes was full: its threads need this long to empty a good part of it, in seconds
STUCK_SECONDS = 0.001


class Flusher:
    """A list of endpoints to flush, and the task that does."""

    def __init__(self) -> None:
        self._marked: list[NngEndpoint] = []
        self._idle: ParkingSpot[None] = ParkingSpot()

    def mark(self, endpoint: NngEndpoint) -> None:
        """Flush it in the next pass."""
        if not endpoint.marked:
            endpoint.marked = True
            self._marked.append(endpoint)
            self._idle.unpark()

    def note(self, endpoint: NngEndpoint) -> None:
        """Flush it with the next `flush_marked`, which the caller calls in this pass; spares waking the task."""
        if not endpoint.marked:
            endpoint.marked = True
            self._marked.append(endpoint)

    def flush_marked(self) -> bool:
        """Flush now; whether some could not send everything that they may."""
        marked, self._marked = self._marked, []
        for endpoint in marked:
            endpoint.marked = False
            endpoint.flush()
        return bool(self._marked)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if not self._marked:
                await self._idle.park()
            if self.flush_marked():
                await trio.sleep(STUCK_SECONDS)
