"""Who may run beside whom in one actor: a fair lane of tickets.

For the actor loop, and for an owner that joins its child's lane. Not for running anything: a task takes a
ticket, waits for its turn, and leaves. Rules (`actors.wire.verbs.Overlap`): tickets get their turn in
arrival order; shared ones run together; an exclusive one runs alone; a preemptive one overtakes what waits
and does not wait for shared ones; BESIDE is never held up.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

from actors.wire.verbs import Overlap

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Lane"]


class Lane:
    """The lane of one actor."""

    class Ticket:
        """A place in the lane; leaving its `with` block gives the place up, whether or not its turn came."""

        def __init__(self, lane: Lane, overlap: Overlap) -> None:
            self._lane = lane
            self.overlap = overlap
            self._turn = trio.Event()

        async def turn(self) -> None:
            """Wait until it may run."""
            await self._turn.wait()

        def call(self) -> None:
            """Tell it that its turn has come."""
            self._turn.set()

        @property
        def called(self) -> bool:
            """Whether its turn has come."""
            return self._turn.is_set()

        def __enter__(self) -> Lane.Ticket:
            return self

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None:
            self._lane._leave(self)  # pyright: ignore[reportPrivateUsage]  # a ticket is a part of its lane

    def __init__(self) -> None:
        self._queue: deque[Lane.Ticket] = deque()
        self._shared = 0
        self._exclusive = 0

    @property
    def waiting(self) -> int:
        """How many tickets wait for their turn."""
        return len(self._queue)

    def ticket(self, overlap: Overlap) -> Lane.Ticket:
        """Take a place now; enter the ticket at once, and it will be given up in any case."""
        ticket = Lane.Ticket(self, overlap)
        if overlap is Overlap.BESIDE:
            ticket.call()
        elif overlap is Overlap.PREEMPTIVE:
            ahead = sum(1 for other in self._queue if other.overlap is Overlap.PREEMPTIVE)
            self._queue.insert(ahead, ticket)
            self._advance()
        else:
            self._queue.append(ticket)
            self._advance()
        return ticket

    def _leave(self, ticket: Lane.Ticket) -> None:
        if ticket.overlap is Overlap.BESIDE:
            return
        if not ticket.called:
            self._queue.remove(ticket)
        elif ticket.overlap is Overlap.SHARED:
            self._shared -= 1
        else:
            self._exclusive -= 1
        self._advance()

    def _advance(self) -> None:
        while self._queue and not self._exclusive:
            head = self._queue[0]
            if head.overlap is Overlap.EXCLUSIVE and self._shared:
                return
            self._queue.popleft()
            if head.overlap is Overlap.SHARED:
                self._shared += 1
            else:
                self._exclusive += 1
            head.call()
