"""One output stream of a process, between the agent and its readers: a bounded buffer with offsets.

With a reader attached, a full buffer blocks the process (backpressure), and nothing is lost; without one it keeps
the newest bytes and counts dropped ones, so that a process never blocks for lack of a reader. It is filled by
`actors.container.process`.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from trio.lowlevel import ParkingLot

from actors.errors import Busy

__all__ = ["Output", "Part"]


class Part(NamedTuple):
    """Bytes at an offset of the stream; at least `gap` bytes directly before them were lost."""

    offset: int
    data: bytes
    gap: int


class Output:
    """Holds at most about `bound` bytes (exceeded by at most the last chunk)."""

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
        """Whether the stream has ended."""
        return self._ended

    def attach(self) -> None:
        """Become the single reader. Raises: Busy."""
        if self._attached:
            raise Busy("this output has a reader already; two would each get a part of it")
        self._attached = True

    def detach(self) -> None:
        """Stop being the reader; unread bytes stay for the next."""
        self._attached = False
        self._writers.unpark_all()

    @property
    def offset(self) -> int:
        """The stream offset of the next bytes to read."""
        return self._offset

    @property
    def received(self) -> int:
        """Bytes received so far, excluding those lost before."""
        return self._offset + self._size

    async def room(self) -> None:
        """Wait while it is full and has a reader."""
        while self._attached and self._size >= self._bound and not self._ended:
            await self._writers.park()

    def append(self, data: bytes) -> int:
        """Add output; without a reader, the oldest unread bytes are dropped to make room: returns how many."""
        if self._ended or not data:
            return 0
        before = self._gap
        # memoryview: splitting a large chunk must not copy the rest each time
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
        """The agent has dropped `count` bytes at this point of the stream."""
        self._gap += count

    def lost_reply(self) -> None:
        """A read reply was lost with its link; the number of bytes is unknown, and counts as one."""
        self.lost_bytes(1)

    def end(self) -> None:
        """The stream has ended."""
        self._ended = True
        self._readers.unpark_all()
        self._writers.unpark_all()

    async def front(self, limit: int) -> Part | None:
        """The next at most `limit` bytes, which stay until `passed_on`; None at the end.

        A gap at the end is reported with empty bytes.
        """
        while not self._chunks:
            if self._ended:
                return Part(self._offset, b"", self._gap) if self._gap else None
            await self._readers.park()
        return Part(self._offset, bytes(self._chunks[0][:limit]), self._gap)

    def passed_on(self, part: Part) -> None:
        """The reader has delivered the part at the front: until then, a reader that leaves loses nothing for the next."""
        if part.data:
            chunk = self._chunks.popleft()
            if len(chunk) > len(part.data):
                self._chunks.appendleft(chunk[len(part.data) :])
        self._gap -= part.gap
        self._size -= len(part.data)
        self._offset += len(part.data)
        self._writers.unpark_all()
