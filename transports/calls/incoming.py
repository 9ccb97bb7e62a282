"""What the clients of one server make it hold of their calls: bounded for all of them together.

Two kinds. Messages that are not complete: no read takes more than an equal part of what is free of their bound, or a small
piece, which a client between messages always may, so that small calls are served whatever others hold. Once the bound is
reached, who is in the midst of a message is not read, but for the `FIRST` that have been for longest, so that messages are
completed in the order in which they were begun. And whoever has been for `PATIENCE_SECONDS` is ended then, if that was its own
doing: one that was not read meanwhile has its time once it is, as long as it goes on. So clients that fall silent amid
messages lose their links when others need the room, and those wait no longer than it takes to see that.

And arguments of calls in progress: of those no link holds more than is free of their bound, and a call too many is refused.
For `server`; what is held of a message, its protocol knows.
"""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING

import trio

from transports.shared_bound import SharedBound

if TYPE_CHECKING:
    from transports.calls.connection import ServingConnection

__all__ = ["Incoming", "Link"]

# messages that are not complete: a dozen of the largest
UNFINISHED_BYTES = 64 * 1024 * 1024
# clients that go on beyond it, each with a largest message at the most
FIRST = 8
# arguments of calls in progress
ARGUMENT_BYTES = 64 * 1024 * 1024
# the largest message takes a local client some milliseconds; only where others need the room is a slow one ended for it
PATIENCE_SECONDS = 2.0
# whoever was made to wait for longer than that had something to send meanwhile, and sends it without such pauses
SILENCE_SECONDS = 0.1
# what any link may have, whatever the others hold: most calls are smaller
SMALL_BYTES = 4 * 1024
# no stream of ours gives more in one read
READ_BYTES = 256 * 1024


class Incoming:
    """Of one server.

    Attributes:
        unfinished, arguments: the two bounds.
        links: how many there are.
    """

    def __init__(self) -> None:
        self.unfinished = SharedBound(UNFINISHED_BYTES)
        self.arguments = SharedBound(ARGUMENT_BYTES)
        self.links = 0
        # in the midst of a message of more than a small one, those that have been for longest first
        self._amid: dict[Link, None] = {}
        self._changed = trio.lowlevel.ParkingLot()
        # of those that wait, the one that looks after the overdue
        self._keeper: Link | None = None

    @property
    def full(self) -> bool:
        """No more may be held of messages that are not complete."""
        return self.unfinished.held >= self.unfinished.most

    def begun(self, link: Link) -> None:
        """It is in the midst of another message than before."""
        self._amid.pop(link, None)
        self._amid[link] = None

    def over(self, link: Link) -> None:
        """It is in the midst of none."""
        self._amid.pop(link, None)

    def changed(self) -> None:
        """There may be room, or other links may be the first."""
        if self._changed:
            self._changed.unpark_all()

    def may_read(self, link: Link) -> bool:
        """There is room, or it is among the first."""
        return not self.full or link in islice(self._amid, FIRST)

    async def room(self, link: Link) -> None:
        """Wait until there is some, or it is among the first; those that are overdue are ended for it."""
        try:
            while not self.may_read(link):
                if self._keeper not in (None, link):
                    await self._changed.park()
                    continue
                self._keeper = link
                due, oldest = min((other.due, at) for at, other in enumerate(self._amid))
                if due <= trio.current_time():
                    next(islice(self._amid, oldest, None)).end()
                else:
                    with trio.move_on_at(due):
                        await self._changed.park()
        finally:
            if self._keeper is link:
                self._keeper = None
                self.changed()


class Link:
    """One client.

    Attributes:
        scope: to read in; it is cancelled when the link is to end.
        why: the reason, for the client; None while it may go on.
    """

    def __init__(self, incoming: Incoming, connection: ServingConnection) -> None:
        self._incoming = incoming
        self._connection = connection
        self._unfinished = incoming.unfinished.account()
        self._arguments = incoming.arguments.account()
        self._which: int | None = None
        # when its message was begun, when it was last read after it had to wait, and when something last came
        self._begun = self._read_again = self._heard = 0.0
        self._waits = False
        incoming.links += 1
        self.scope = trio.CancelScope()
        self.why: str | None = None

    @property
    def due(self) -> float:
        """When its message has taken too long, on the scale of `trio.current_time()`; infinite while it is not read."""
        if self._waits:
            return math.inf
        silent = max(self._read_again, self._heard) + SILENCE_SECONDS
        return max(self._begun + PATIENCE_SECONDS, min(self._read_again + PATIENCE_SECONDS, silent))

    async def room(self) -> int | None:
        """How many bytes to read at the most, once any may be; None: as many as there are."""
        incoming = self._incoming
        if incoming.full and self._which is not None:
            await self._wait()
        bound = incoming.unfinished
        part = (bound.most - bound.held) // incoming.links
        return None if part >= READ_BYTES else max(part, SMALL_BYTES)

    async def _wait(self) -> None:
        if self._incoming.may_read(self):
            return
        self._waits = True
        await self._incoming.room(self)
        self._waits = False
        self._read_again = trio.current_time()

    def received(self) -> None:
        """The connection was given bytes."""
        held, number = self._connection.unfinished
        which = number if held > SMALL_BYTES else None
        if held == self._unfinished.held and which == self._which:
            return
        self._heard = trio.current_time()
        self._unfinished.take(held - self._unfinished.held)
        if which != self._which:
            self._which = which
            if which is None:
                self._incoming.over(self)
            else:
                self._begun = self._read_again = self._heard
                self._incoming.begun(self)
        self._incoming.changed()

    def end(self) -> None:
        """Others need the room; see `why`."""
        self.why = (
            f"a message is unfinished, with {self._unfinished.held} bytes so far, after more than {PATIENCE_SECONDS:g} s, and"
            f" others need the room: all links hold {self._incoming.unfinished.most} bytes of unfinished messages"
        )
        self.let_go()
        self.scope.cancel()

    def closed(self) -> None:
        """It is no more."""
        self.let_go()
        self._incoming.links -= 1

    def let_go(self) -> None:
        """It holds nothing unfinished any more."""
        self._incoming.over(self)
        self._which = None
        self._unfinished.take(-self._unfinished.held)
        self._incoming.changed()

    def take(self, size: int) -> str | None:
        """Hold a call's arguments until `give_back`; or why they can't be, and nothing is held."""
        if size > SMALL_BYTES and not self._arguments.allows(size):
            bound = self._incoming.arguments
            return (
                f"{size} bytes of arguments: calls in progress hold {bound.held} of {bound.most} bytes,"
                f" {self._arguments.held} of them on this connection; wait for one to end"
            )
        self._arguments.take(size)
        return None

    def give_back(self, size: int) -> None:
        """The call is over."""
        self._arguments.take(-size)
