"""One output stream of a process between the agent and its readers: a bounded buffer with offsets.

With a reader attached it holds the process back when it is full, and nothing is lost; with none it keeps
the newest bytes and counts what it dropped, so that a process never blocks on nobody. Not for reading
from the agent: `actors.container.process` fills it.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from trio.lowlevel import ParkingLot

from actors.errors import Busy

__all__ = ["Output", "Part"]


class Part(NamedTuple):
    """Bytes at an offset of the stream; at least `gap` bytes just before them were lost."""

    offset: int
    data: bytes
    gap: int


class Output:
    """At most about `bound` bytes are held (a last chunk may exceed it by its own size)."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._chunks: deque[memoryview] = deque()
        self._size = 0
        self._offset = 0
        self._gap = 0
        self._attached = False
        self._ended = False
        self._readers = ParkingLot()
        self._writers = ParkingLot()

    @property
    def ended(self) -> bool:
        """Whether no more will come."""
        return self._ended

    def attach(self) -> None:
        """Become its one reader. Raises: Busy."""
        if self._attached:
            raise Busy("this output has a reader already; two would each get a part of it")
        self._attached = True

    def detach(self) -> None:
        """Stop being its reader; what is unread stays for the next."""
        self._attached = False
        self._writers.unpark_all()

    @property
    def offset(self) -> int:
        """Where the next bytes stand in the stream."""
        return self._offset

    @property
    def received(self) -> int:
        """How many bytes of the stream came so far, and were not lost on their way."""
        return self._offset + self._size

    async def room(self) -> None:
        """Wait while it is full and somebody reads it."""
        while self._attached and self._size >= self._bound and not self._ended:
            await self._writers.park()

    def append(self, data: bytes) -> int:
        """Add what the process wrote; unread old bytes make room when nobody reads: how many were lost to it."""
        if self._ended or not data:
            return 0
        before = self._gap
        # views: cutting a large chunk into small parts must not copy its rest each time
        self._chunks.append(memoryview(data))
        self._size += len(data)
        while not self._attached and self._size > self._bound:
            oldest = self._chunks.popleft()
            rest = oldest[self._size - self._bound :]
            self._lose(len(oldest) - len(rest))
            if rest:
                self._chunks.appendleft(rest)
                break
        self._readers.unpark_all()
        return self._gap - before

    def _lose(self, count: int) -> None:
        self._size -= count
        self._offset += count
        self._gap += count

    def lost_bytes(self, count: int) -> None:
        """The agent has dropped so many where the next ones would stand."""
        self._gap += count

    def lost_reply(self) -> None:
        """A read was lost with its link; how many bytes it carried is not known, so it counts as one."""
        self.lost_bytes(1)

    def end(self) -> None:
        """No more will come."""
        self._ended = True
        self._readers.unpark_all()
        self._writers.unpark_all()

    async def front(self, limit: int) -> Part | None:
        """The next bytes, at most `limit` of them, which stay until they are `passed_on`; None at the end.

        A gap that nothing came after is told with no bytes.
        """
        while not self._chunks:
            if self._ended:
                return Part(self._offset, b"", self._gap) if self._gap else None
            await self._readers.park()
        return Part(self._offset, bytes(self._chunks[0][:limit]), self._gap)

    def passed_on(self, part: Part) -> None:
        """Its reader has what was at the front: a reader that goes before that loses nothing for the next."""
        if part.data:
            chunk = self._chunks.popleft()
            if len(chunk) > len(part.data):
                self._chunks.appendleft(chunk[len(part.data) :])
        self._gap -= part.gap
        self._size -= len(part.data)
        self._offset += len(part.data)
        self._writers.unpark_all()
