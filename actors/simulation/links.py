"""Byte streams between a simulated host and its guests: bounded, with latency, fragmented, determined by the seed.

They stand for a guest's unix or vsock socket. Every byte read goes into the trace. Messages go over
`transports.memory`. No faults: everything arrives completely and in order.
"""

from __future__ import annotations

import operator
from collections import deque
from math import inf
from typing import TYPE_CHECKING

import trio

from transports.base import NowaitStream
from transports.parking import ParkingSpot

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.seams import Rng

__all__ = ["SimulatedStream", "stream_pair"]

# buffer size of a link, drawn from this range: an empty socket's buffer on Linux is 208 KiB
_CAPACITIES = (4 * 1024, 256 * 1024)
# one-way latency, drawn per link: from a unix socket at best to a busy virtual machine at worst
_LATENCIES = (0.000_01, 0.002)
# fractions of pieces: those that arrive at once, as all do on a unix socket, and those that are very late
_AT_ONCE = 0.6
_LATE = 0.98
_LATER = 8.0
# fraction of pieces of which only a part arrives at once
_IN_PARTS = 0.2
# floating-point: a clock that adds the remaining time could otherwise stay just before the next deadline for ever
_TICK = 1e-9
# size of one read: trio's default
_RECEIVE_BYTES = 64 * 1024


class _Way:
    """One direction. Data arrives after the latency; unread data counts against the capacity."""

    def __init__(self, name: str, rng: Rng, note: Callable[[str, bytes], None]) -> None:
        self._name = name
        self._rng = rng
        self._note = note
        self._capacity = int(_between(rng, _CAPACITIES))
        self._latency = _between(rng, _LATENCIES)
        # (arrival time, bytes)
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._last = 0.0
        # arrival time of the end of the stream
        self._end = inf
        self._reader_gone = False
        self._reader: ParkingSpot[None] = ParkingSpot()
        self._room = trio.lowlevel.ParkingLot()

    @property
    def broken(self) -> bool:
        """The reader is gone."""
        return self._reader_gone

    def put(self, data: bytes | memoryview) -> int:
        """Accept as many of the first bytes as there is room for."""
        taken = min(len(data), self._capacity - self._size)
        if taken > 0:
            self._size += taken
            self._enqueue(bytes(data[:taken]))
            self._reader.unpark()
        return max(taken, 0)

    def _enqueue(self, data: bytes) -> None:
        drawn = self._rng.random()
        if drawn < _IN_PARTS and len(data) > 1:
            # the first part arrives like any immediate piece; the rest is delayed
            cut = 1 + int(drawn / _IN_PARTS * (len(data) - 1))
            self._pieces.append((self._arrival(0.0), data[:cut]))
            self._pieces.append((self._arrival(_AT_ONCE + drawn), data[cut:]))
        else:
            self._pieces.append((self._arrival(drawn), data))

    async def wait_room(self) -> None:
        while self._size >= self._capacity and not self._reader_gone and self._end == inf:
            await self._room.park()

    def finish(self) -> None:
        """End the stream; wakes waiting senders."""
        if self._end == inf:
            self._end = self._arrival(self._rng.random())
            self._reader.unpark()
            self._room.unpark_all()

    def abandon(self) -> None:
        """The reader is gone."""
        self._reader_gone = True
        self._pieces.clear()
        self._size = 0
        self._reader.unpark()
        self._room.unpark_all()

    async def take(self, limit: int) -> bytes:
        """Wait for data to arrive and return it; empty at the end."""
        waited = False
        while not self._reader_gone:
            arrival = self._pieces[0][0] if self._pieces else self._end
            now = trio.current_time() + _TICK
            if arrival <= now:
                data = self._arrived(now, limit)
                if not waited:
                    # shielded: a Cancelled here would lose the bytes
                    await trio.lowlevel.cancel_shielded_checkpoint()
                return data
            waited = True
            if arrival == inf:
                await self._reader.park()
            else:
                # no other piece can arrive earlier, but the link may break meanwhile
                with trio.move_on_at(arrival):
                    await self._reader.park()
        raise trio.ClosedResourceError("this stream was closed here")

    def _arrived(self, now: float, limit: int) -> bytes:
        pieces = self._pieces
        if not pieces:
            return b""
        arrival, data = pieces.popleft()
        if pieces and pieces[0][0] <= now and len(data) < limit:
            parts, size = [data], len(data)
            while pieces and pieces[0][0] <= now and size < limit:
                arrival, data = pieces.popleft()
                parts.append(data)
                size += len(data)
            data = b"".join(parts)
        if len(data) > limit:
            pieces.appendleft((arrival, data[limit:]))
            data = data[:limit]
        self._size -= len(data)
        self._room.unpark_all()
        self._note(self._name, data)
        return data

    def _arrival(self, drawn: float) -> float:
        """The arrival time of a piece sent now; never before that of an earlier one."""
        now = trio.current_time()
        if drawn > _AT_ONCE:
            now += self._latency * drawn * (_LATER if drawn > _LATE else 1.0)
        self._last = max(self._last, now)
        return self._last


class SimulatedStream(NowaitStream):
    """One end of a link; see `stream_pair`."""

    def __init__(self, inward: _Way, outward: _Way) -> None:
        self._in = inward
        self._out = outward
        self._sending = False
        self._receiving = False
        self._closed = False

    def send_nowait(self, data: bytes) -> int:
        """See `NowaitStream`."""
        self._check_send()
        return self._out.put(data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        self._check_send()
        self._sending = True
        try:
            await trio.lowlevel.checkpoint()
            rest = memoryview(bytes(data))
            while rest:
                self._check_open()
                rest = rest[self._out.put(rest) :]
                if rest:
                    await self._out.wait_room()
        finally:
            self._sending = False

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        self._check_send()
        self._sending = True
        try:
            await trio.lowlevel.checkpoint()
            await self._out.wait_room()
            if self._closed:
                raise trio.ClosedResourceError("this stream was closed here")
        finally:
            self._sending = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        limit = _RECEIVE_BYTES if max_bytes is None else operator.index(max_bytes)
        if limit < 1:
            raise ValueError("max_bytes must be positive")
        if self._receiving:
            raise trio.BusyResourceError("another task receives from this stream")
        if self._closed:
            raise trio.ClosedResourceError("this stream was closed here")
        self._receiving = True
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            return await self._in.take(limit)
        finally:
            self._receiving = False

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        if not self._closed:
            self._closed = True
            self._out.finish()
            self._in.abandon()
        await trio.lowlevel.checkpoint()

    def _check_send(self) -> None:
        if self._sending:
            raise trio.BusyResourceError("another task sends on this stream")
        self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this stream was closed here")
        if self._out.broken:
            raise trio.BrokenResourceError("nobody reads at the other end")


def stream_pair(name: str, rng: Rng, note: Callable[[str, bytes], None]) -> tuple[SimulatedStream, SimulatedStream]:
    """A link's two ends: the host's and the guest's. `note` gets all data read, by direction."""
    to_guest, to_host = _Way(f"{name} >", rng, note), _Way(f"{name} <", rng, note)
    return SimulatedStream(to_host, to_guest), SimulatedStream(to_guest, to_host)


def _between(rng: Rng, bounds: tuple[float, float]) -> float:
    """A draw between the bounds, log-uniform."""
    low, high = bounds
    ratio: float = (high / low) ** rng.random()
    return low * ratio
