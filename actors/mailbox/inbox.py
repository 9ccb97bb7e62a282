"""The bounded queue of asks before one actor.

Asks over its capacity wait in line behind it, each up to its own deadline and counted against its client's
bound, so that a full mailbox never drops one and never stops the link. Not for answering: `request` is.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING

import outcome
import trio

from transports.parking import ParkingSpot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.mailbox.deadlines import Deadlines
    from actors.mailbox.request import Request

__all__ = ["Inbox"]

# requests in a row that are given out without letting other tasks run: what they are answered leaves in one frame
BURST = 32


class Inbox:
    """One actor's requests, in arrival order. Made by `Server.register`; one task receives."""

    def __init__(self, name: str, *, capacity: int, deadlines: Deadlines) -> None:
        self._name = name
        self._capacity = capacity
        self._deadlines = deadlines
        self._queue: deque[Request] = deque()
        self._receiver: ParkingSpot[Request] = ParkingSpot()
        self._burst = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<Inbox {self._name!r}: {len(self._queue)} of {self._capacity}>"

    def __len__(self) -> int:
        """How many asks wait, those over the capacity included."""
        return len(self._queue)

    @property
    def name(self) -> str:
        """The name it is registered under."""
        return self._name

    async def receive(self) -> Request:
        """The next ask; waits for one.

        Raises:
            trio.ClosedResourceError: the name was unregistered.
            trio.BusyResourceError: another task receives.
        """
        if self._receiver:
            raise trio.BusyResourceError(f"another task receives the requests of {self._name!r}")
        if self._queue:
            self._burst += 1
            if self._burst < BURST:
                await trio.lowlevel.checkpoint_if_cancelled()
            else:
                self._burst = 0
                await trio.lowlevel.checkpoint()
        if self._queue:
            request = self._queue.popleft()
            request.leave()
            return request
        if self._closed:
            raise trio.ClosedResourceError(f"{self._name!r} is no longer registered")
        self._burst = 0
        return await self._receiver.park()

    # for the server

    def put(self, request: Request) -> None:
        """Hand it to the waiting actor, or have it wait."""
        if self._receiver:
            self._receiver.unpark(outcome.Value(request))
            return
        request.enter(self)
        self._queue.append(request)
        if request.deadline != inf:
            self._deadlines.add(request.deadline, request)

    def discard(self, request: Request) -> bool:
        """Take it out of the queue; whether it stood within the capacity."""
        position = self._queue.index(request)
        del self._queue[position]
        return position < self._capacity

    def close(self) -> Iterator[Request]:
        """No more requests; what still waits."""
        self._closed = True
        self._receiver.unpark(outcome.Error(trio.ClosedResourceError(f"{self._name!r} is no longer registered")))
        while self._queue:
            request = self._queue.popleft()
            request.leave()
            yield request
