"""Bytes of an untrusted peer in portions, so that the loop goes on between them.

One read gives up to 256 KiB, which can be twenty thousand frames: handled in one go, every other task waits for them. So
what was read is handed out in portions, each of a small number of bytes or, inside a frame that is longer, of what this one
lacks. The first portion comes at once; who has more waits its turn. In one Trio run one reader in each scheduler pass has
a turn, so that many links that flood cost the others no more than one. A link whose last read was more than a
portion waits with its next read, too.

For whoever decodes what a peer sends. Not for how much a peer may send: its protocol knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PORTION_BYTES", "PortionReader"]

# some hundred of the smallest frames, of 8 to 12 bytes: they take 0.1 to 0.2 ms
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
        """The next portion; empty at the end. Raises: what the stream's `receive_some` raises."""
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
    # given back at once: who is next is woken in the next pass, and we go on in this one
    async with lock:
        pass
