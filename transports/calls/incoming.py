"""Memory held for calls that clients of one server send: bounded across all of them.

Two bounds. Incomplete messages: a read takes at most an equal share of what is free of the bound, or a small piece,
which a client between messages may always send, so that small calls are served whatever others hold. At the bound, a
client in the middle of a message is read only if it is among the `FIRST` oldest, so messages complete in the order they
began. While others wait, a client whose message has been incomplete for `PATIENCE_SECONDS` by its own fault is
disconnected: time in which it was not read does not count as long as it keeps sending afterwards. So clients that stall
in mid-message lose their links when others need the room, and the others wait only that long.

Arguments of calls in progress: a link may hold as much as is free of their bound; a call beyond that is refused.
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

# incomplete messages: a dozen of the largest
UNFINISHED_BYTES = 64 * 1024 * 1024
# clients that are read beyond it, each for one largest message at most
FIRST = 8
# arguments of calls in progress
ARGUMENT_BYTES = 64 * 1024 * 1024
# the largest message takes a local client milliseconds; a slow client is disconnected only if others need the room
PATIENCE_SECONDS = 2.0
# a client that had to wait longer than this had data to send, and sends it without such pauses
SILENCE_SECONDS = 0.1
# allowed to any link, whatever the others hold: most calls are smaller
SMALL_BYTES = 4 * 1024
# no stream of ours returns more per read
READ_BYTES = 256 * 1024


class Incoming:
    """The bounds of one server.

    Attributes:
        unfinished, arguments: the two bounds.
        links: number of connected clients.
    """

    def __init__(self) -> None:
        self.unfinished = SharedBound(UNFINISHED_BYTES)
        self.arguments = SharedBound(ARGUMENT_BYTES)
        self.links = 0
        # links in the middle of a message larger than SMALL_BYTES, oldest first
        self._amid: dict[Link, None] = {}
        self._changed = trio.lowlevel.ParkingLot()
        # the one waiting link that disconnects overdue ones
        self._keeper: Link | None = None

    @property
    def full(self) -> bool:
        """The bound on incomplete messages is reached."""
        return self.unfinished.held >= self.unfinished.most

    def begun(self, link: Link) -> None:
        """The link has started another incomplete message."""
        self._amid.pop(link, None)
        self._amid[link] = None

    def over(self, link: Link) -> None:
        """The link has no incomplete message."""
        self._amid.pop(link, None)

    def changed(self) -> None:
        """There may be room, or the oldest links have changed."""
        if self._changed:
            self._changed.unpark_all()

    def may_read(self, link: Link) -> bool:
        """There is room, or the link is among the oldest."""
        return not self.full or link in islice(self._amid, FIRST)

    async def room(self, link: Link) -> None:
        """Wait for room, or until the link is among the oldest; disconnects overdue links meanwhile."""
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
        scope: to read in; cancelled when the link is disconnected.
        why: the reason, for the client; None while connected.
    """

    def __init__(self, incoming: Incoming, connection: ServingConnection) -> None:
        self._incoming = incoming
        self._connection = connection
        self._unfinished = incoming.unfinished.account()
        self._arguments = incoming.arguments.account()
        self._which: int | None = None
        # when its message began, when reading resumed after it had to wait, and when data last came
        self._begun = self._read_again = self._heard = 0.0
        self._waits = False
        incoming.links += 1
        self.scope = trio.CancelScope()
        self.why: str | None = None

    @property
    def due(self) -> float:
        """When its message becomes overdue, on the scale of `trio.current_time()`; infinite while it is not read."""
        if self._waits:
            return math.inf
        silent = max(self._read_again, self._heard) + SILENCE_SECONDS
        return max(self._begun + PATIENCE_SECONDS, min(self._read_again + PATIENCE_SECONDS, silent))

    async def room(self) -> int | None:
        """Wait until reading is allowed; the most bytes to read, None for no limit."""
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
        """Account for bytes given to the connection."""
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
        """Disconnect it because others need the room; see `why`."""
        self.why = (
            f"a message is unfinished, with {self._unfinished.held} bytes so far, after more than {PATIENCE_SECONDS:g} s, and"
            f" others need the room: all links hold {self._incoming.unfinished.most} bytes of unfinished messages"
        )
        self.let_go()
        self.scope.cancel()

    def closed(self) -> None:
        """The link has closed."""
        self.let_go()
        self._incoming.links -= 1

    def let_go(self) -> None:
        """Release what it holds of incomplete messages."""
        self._incoming.over(self)
        self._which = None
        self._unfinished.take(-self._unfinished.held)
        self._incoming.changed()

    def take(self, size: int) -> str | None:
        """Hold a call's arguments until `give_back`; or the reason for refusing, and nothing is held."""
        if size > SMALL_BYTES and not self._arguments.allows(size):
            bound = self._incoming.arguments
            return (
                f"{size} bytes of arguments: calls in progress hold {bound.held} of {bound.most} bytes,"
                f" {self._arguments.held} of them on this connection; wait for one to end"
            )
        self._arguments.take(size)
        return None

    def give_back(self, size: int) -> None:
        """Release a call's arguments."""
        self._arguments.take(-size)
