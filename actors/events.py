"""What an actor tells those who subscribed to it: its state, its processes' ends, and whatever else happens to it.

For the system, sandbox and container actors; what one tells, those above it tell as well. A subscriber first gets
what is the case, then every change, and never holds an actor up: one that does not keep up loses the oldest
events and is told how many (`actors.mailbox.Request.offer`). Not for answers: an ask has its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.wire.codec import encode_raw
from actors.wire.events import ActorEvent
from actors.wire.verbs import Nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.mailbox import Request
    from actors.wire.spec import ExitStatus

__all__ = ["Events"]


class Events:
    """One actor's subscribers.

    Args:
        source: the actor's address.
        above: the events of the actor that owns this one.
        present: what is the case, for a new subscriber: this actor's state and its children's.
    """

    def __init__(self, source: str, present: Callable[[], Iterable[ActorEvent]], *, above: Events | None) -> None:
        self.source = source
        self._present = present
        self._above = above
        # a dict for its order
        self._subscribers: dict[int, Request] = {}
        self._count = 0
        self._closed = trio.Event()

    def state(self, state: str) -> None:
        """The actor is in another state."""
        self.tell(ActorEvent(self.source, "state", state=state))

    def exit(self, process: str, status: ExitStatus | None) -> None:
        """A process of it has ended; the empty name is its init. None: nobody can tell how."""
        self.tell(ActorEvent(self.source, "exit", process=process, exit=status))

    def tell(self, event: ActorEvent) -> None:
        """Tell every subscriber of this actor and of those above it; never blocks."""
        if self._subscribers:
            # once for all of them: those that do not read hold the same bytes
            encoded = encode_raw(event)
            for request in list(self._subscribers.values()):
                request.offer(encoded)
        if self._above is not None:
            self._above.tell(event)

    async def serve(self, args: Nothing, request: Request) -> Nothing:
        """The verb `events`: until the subscriber leaves, or the actor is deleted."""
        self._count += 1
        number = self._count
        for event in self._present():
            request.offer(event)
        self._subscribers[number] = request
        try:
            await self._closed.wait()
        finally:
            del self._subscribers[number]
        return Nothing()

    def close(self) -> None:
        """The actor is deleted: the last event, and the end of every subscription to it."""
        self.tell(ActorEvent(self.source, "deleted"))
        self._closed.set()
