"""What ended processes of one guest have left unread: bytes in memory, bounded for all of them together.

For `process_io`, so that an ended process costs no descriptor. When there is too much the oldest bytes go, whoever's they
are, and the stream that lost them says how many. No I/O. Not for what a live process writes: that stays in its pipe.
"""

from __future__ import annotations

from collections import deque

__all__ = ["Leftover", "Leftovers"]

# small pieces are joined up to this, so that none costs more than its bytes
_PIECE_BYTES = 64 * 1024


class Leftovers:
    """At most `bound` bytes over all streams."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._size = 0
        # every piece with its stream, the oldest first
        self._pieces: dict[int, Leftover] = {}
        self._next = 0

    @property
    def size(self) -> int:
        """Bytes that are held now."""
        return self._size

    def number(self, owner: Leftover) -> int:
        """A place at the end of the line, for one piece."""
        self._next += 1
        self._pieces[self._next] = owner
        return self._next

    def release(self, number: int) -> None:
        """That piece is gone."""
        del self._pieces[number]

    def grew(self, count: int) -> None:
        """So many bytes came, or, negative, went."""
        self._size += count
        while self._size > self._bound:
            next(iter(self._pieces.values())).drop_oldest()


class Leftover:
    """One stream's share."""

    def __init__(self, all_streams: Leftovers) -> None:
        self._all = all_streams
        self._pieces: deque[tuple[int, bytearray]] = deque()
        self.size = 0
        # bytes that stood before what is held, and were not told as lost yet
        self.lost = 0

    def put(self, data: bytes) -> None:
        """Hold them behind what is held."""
        if not data:
            return
        if self._pieces and len(self._pieces[-1][1]) + len(data) <= _PIECE_BYTES:
            self._pieces[-1][1].extend(data)
        else:
            self._pieces.append((self._all.number(self), bytearray(data)))
        self._grew(len(data))

    def take(self, limit: int) -> bytes:
        """The first bytes, at most `limit`; empty when none are held."""
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
        """Lose the first piece."""
        number, piece = self._pieces.popleft()
        self._all.release(number)
        self.lost += len(piece)
        self._grew(-len(piece))

    def clear(self) -> None:
        """Nobody will ask for it any more."""
        while self._pieces:
            self.drop_oldest()
        self.lost = 0

    def _grew(self, count: int) -> None:
        self.size += count
        self._all.grew(count)
