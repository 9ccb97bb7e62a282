"""Unread output of ended processes: held in memory, with one bound for the whole guest.

For `process_io`, so that an ended process holds no descriptor. Over the bound the oldest bytes are dropped, whichever
process they are from, and that stream reports how many. No I/O. A live process's output stays in its pipe.
"""

from __future__ import annotations

from collections import deque

__all__ = ["Leftover", "Leftovers"]

# small pieces are merged up to this size, which limits the overhead per byte
_PIECE_BYTES = 64 * 1024


class Leftovers:
    """At most `bound` bytes over all streams."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._size = 0
        # all pieces of all streams, oldest first
        self._pieces: dict[int, Leftover] = {}
        self._next = 0

    @property
    def size(self) -> int:
        """Bytes held now."""
        return self._size

    def number(self, owner: Leftover) -> int:
        """Append a new piece to the order of age; returns its number."""
        self._next += 1
        self._pieces[self._next] = owner
        return self._next

    def release(self, number: int) -> None:
        """The piece is gone."""
        del self._pieces[number]

    def grew(self, count: int) -> None:
        """Account for `count` more bytes, or fewer if negative."""
        self._size += count
        while self._size > self._bound:
            next(iter(self._pieces.values())).drop_oldest()


class Leftover:
    """The unread output of one stream."""

    def __init__(self, all_streams: Leftovers) -> None:
        self._all = all_streams
        self._pieces: deque[tuple[int, bytearray]] = deque()
        self.size = 0
        # bytes dropped before those held, and not reported yet
        self.lost = 0

    def put(self, data: bytes) -> None:
        """Append data."""
        if not data:
            return
        if self._pieces and len(self._pieces[-1][1]) + len(data) <= _PIECE_BYTES:
            self._pieces[-1][1].extend(data)
        else:
            self._pieces.append((self._all.number(self), bytearray(data)))
        self._grew(len(data))

    def take(self, limit: int) -> bytes:
        """Take at most `limit` of the first bytes; empty when none are held."""
        if not self._pieces:
            return b""
        number, piece = self._pieces[0]
        data = bytes(piece[:limit])
        del piece[:limit]
        if not piece:
            self._pieces.popleft()
            self._all.release(number)
        self._grew(-len(data))
        return data

    def drop_oldest(self) -> None:
        """Drop the oldest piece."""
        number, piece = self._pieces.popleft()
        self._all.release(number)
        self.lost += len(piece)
        self._grew(-len(piece))

    def clear(self) -> None:
        """Drop everything: nobody will read it."""
        while self._pieces:
            self.drop_oldest()
        self.lost = 0

    def _grew(self, count: int) -> None:
        self.size += count
        self._all.grew(count)
