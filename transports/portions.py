"""Reads an untrusted peer's bytes in portions, so that other tasks run in between.

One read returns up to 256 KiB, which can be twenty thousand frames: handled in one go, they would block every other
task. So the data is handed out in portions: a small number of bytes, or the rest of the current frame if that is more.
The first portion is immediate; later ones wait for a turn. In one Trio run, one reader per scheduler pass gets a turn,
so that many flooding links cost the others no more than one. After a read larger than a portion, the next read waits
for a turn too.

How much a peer may send is for its protocol to limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PORTION_BYTES", "PortionReader"]

# about a hundred of the smallest frames, of 8 to 12 bytes: they take 0.1 to 0.2 ms
PORTION_BYTES = 1024

_turns: trio.lowlevel.RunVar[trio.StrictFIFOLock] = trio.lowlevel.RunVar("turns")


class PortionReader:
    """Reads one stream.

    Args:
        lacking: bytes still missing from the partly delivered frame; 0 between frames.
    """

    def __init__(self, stream: trio.abc.ReceiveStream, lacking: Callable[[], int]) -> None:
        self._stream = stream
        self._lacking = lacking
        self._data = b""
        self._taken = 0
        self._busy = False

    async def receive(self) -> bytes:
        """The next portion; empty at end of stream. Raises: what the stream's `receive_some` raises."""
        if self._taken == len(self._data):
            self._data, self._taken = bytes(await self._stream.receive_some()), 0
            if self._busy:
                await _turn()
            self._busy = len(self._data) > PORTION_BYTES
        else:
            await _turn()
        start, self._taken = self._taken, min(len(self._data), self._taken + max(PORTION_BYTES, self._lacking()))
        return self._data if start == 0 and self._taken == len(self._data) else self._data[start : self._taken]


async def _turn() -> None:
    try:
        lock = _turns.get()
    except LookupError:
        lock = trio.StrictFIFOLock()
        _turns.set(lock)
    # released at once: the next waiter is woken in the next pass, and we continue in this one
    async with lock:
        pass
