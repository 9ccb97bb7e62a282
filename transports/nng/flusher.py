"""The task that sends, in the next scheduler pass, what endpoints queued in this one.

This coalesces without a timer: all that is queued in one pass leaves in one frame. A lone message skips it: the
endpoint sends that at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from transports.parking import ParkingSpot

if TYPE_CHECKING:
    from transports.nng.endpoint import NngEndpoint

__all__ = ["Flusher"]

# nng's shared send queue was full: its threads need about this long to drain a good part of it, in seconds
STUCK_SECONDS = 0.001


class Flusher:
    """The list of endpoints to flush, and the task that flushes them."""

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
        """Flush now; whether some endpoints still have data that nng did not take."""
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
