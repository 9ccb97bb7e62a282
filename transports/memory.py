"""Message channels within one Trio run, without threads: the reference transport, used by the simulation.

Deterministic under a deterministic scheduler, and correct under a clock that jumps. An address is any text after
`memory://`, local to one `MemoryTransport`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

from transports.errors import (
    AddressError,
    AddressInUse,
    EndpointBroken,
    EndpointBusy,
    EndpointClosed,
    MessageTooLarge,
    TransportError,
    Unreachable,
)
from transports.parking import ParkingSpot

if TYPE_CHECKING:
    from collections.abc import Callable

    from transports.base import Endpoint, Listener, Receiver

__all__ = ["MemoryTransport"]

SCHEME = "memory://"
# messages delivered to one endpoint before the task's other endpoints get their turn
TURN = 64


class _Pump:
    """Delivers queued messages to receivers, from one task; endpoints take turns."""

    def __init__(self) -> None:
        self._ready: deque[_Endpoint] = deque()
        self._idle: ParkingSpot[None] = ParkingSpot()

    def wake(self, endpoint: _Endpoint) -> None:
        if not endpoint.scheduled:
            endpoint.scheduled = True
            self._ready.append(endpoint)
            self._idle.unpark()

    async def run(self, only: _Endpoint | None = None) -> None:
        """Run until cancelled, or until `only` has ended."""
        while only is None or not only.ended:
            if not self._ready:
                await self._idle.park()
            else:
                await trio.lowlevel.checkpoint()
            for _ in range(len(self._ready)):
                endpoint = self._ready.popleft()
                endpoint.scheduled = False
                endpoint.deliver()


class _Endpoint:
    """One end; the other end fills its inbound queue, its own pump empties it."""

    receiver: Receiver
    other: _Endpoint

    def __init__(self, peer: str, pump: _Pump, transport: MemoryTransport) -> None:
        self._peer = peer
        self.pump = pump
        self._transport = transport
        self._inbound: deque[bytes] = deque()
        self._inbound_bytes = 0
        self._room = trio.lowlevel.ParkingLot()
        # why sending is over; the receiver is told after the queue has been delivered
        self._end: TransportError | None = None
        self.scheduled = False
        self.ended = False

    @property
    def peer(self) -> str:
        return self._peer

    def send_nowait(self, message: bytes) -> None:
        if self._end is not None:
            raise self._end
        if len(message) > self._transport.message_bytes:
            raise MessageTooLarge(f"{len(message)} bytes in one message; {self._transport.message_bytes} is the most")
        other = self.other
        if other._inbound_bytes + len(message) > self._transport.queue_bytes or (
            len(other._inbound) >= self._transport.queue_messages
        ):
            raise EndpointBusy(f"{other._inbound_bytes} bytes wait for {self._peer} already")
        other._inbound.append(message)
        other._inbound_bytes += len(message)
        other.pump.wake(other)

    async def send(self, message: bytes) -> None:
        await trio.lowlevel.checkpoint()
        while True:
            try:
                self.send_nowait(message)
            except EndpointBusy:
                await self._room.park()
            else:
                return

    async def aclose(self) -> None:
        # no need to wait for the peer: all that was sent is in its queue already
        self.finish(EndpointClosed(f"the link to {self._peer} was closed"))
        await trio.lowlevel.checkpoint()

    def finish(self, cause: TransportError) -> None:
        """Close both ends; each is told after its queued messages."""
        for end in (self, self.other):
            if end._end is None:
                end._end = cause
                end._room.unpark_all()
                end.pump.wake(end)

    def deliver(self) -> None:
        inbound = self._inbound
        for _ in range(min(len(inbound), TURN)):
            message = inbound.popleft()
            self._inbound_bytes -= len(message)
            self.receiver.received(message)
        self.other._room.unpark_all()
        if inbound:
            self.pump.wake(self)
        elif self._end is not None and not self.ended:
            self.ended = True
            self.receiver.gone(None if isinstance(self._end, EndpointClosed) else self._end)


class _Listener:
    def __init__(self, address: str, accept: Callable[[Endpoint], Receiver]) -> None:
        self._address = address
        self.accept = accept
        self.pump = _Pump()
        # a dict, for insertion order: endpoints end in a deterministic order
        self.endpoints: dict[int, _Endpoint] = {}
        self.accepted = 0

    @property
    def address(self) -> str:
        return self._address


class MemoryTransport:
    """Its own namespace of `memory://` addresses.

    Args:
        message_bytes: the largest message.
        queue_messages, queue_bytes: how much one end queues for its receiver before senders wait.
    """

    def __init__(
        self, *, message_bytes: int = 64 * 1024, queue_messages: int = 2048, queue_bytes: int = 256 * 1024
    ) -> None:
        self.message_bytes = message_bytes
        self.queue_messages = queue_messages
        self.queue_bytes = queue_bytes
        self._listeners: dict[str, _Listener] = {}

    async def serve(
        self, address: str, accept: Callable[[Endpoint], Receiver], *, task_status: trio.TaskStatus[Listener]
    ) -> None:
        """See `transports.base.Transport`; cancelling breaks the links of all peers."""
        _check(address)
        if address in self._listeners:
            raise AddressInUse(f"{address} is served already")
        listener = self._listeners[address] = _Listener(address, accept)
        try:
            task_status.started(listener)
            await listener.pump.run()
        finally:
            del self._listeners[address]
            for endpoint in listener.endpoints.values():
                endpoint.finish(EndpointBroken(f"{address} is no longer served"))
                endpoint.deliver()

    async def connect(self, address: str, receiver: Receiver, *, task_status: trio.TaskStatus[Endpoint]) -> None:
        """See `transports.base.Transport`; cancelling breaks the link."""
        _check(address)
        await trio.lowlevel.checkpoint()
        listener = self._listeners.get(address)
        if listener is None:
            raise Unreachable(f"nobody serves {address}")
        listener.accepted += 1
        number = listener.accepted
        ours = _Endpoint(address, _Pump(), self)
        theirs = _Endpoint(f"{address}#{number}", listener.pump, self)
        ours.other, theirs.other = theirs, ours
        ours.receiver = receiver
        theirs.receiver = listener.accept(theirs)
        listener.endpoints[number] = theirs
        try:
            task_status.started(ours)
            await ours.pump.run(only=ours)
        finally:
            ours.finish(EndpointBroken(f"{theirs.peer} went away without a goodbye"))
            listener.endpoints.pop(number, None)
            while not ours.ended:
                ours.deliver()


def _check(address: str) -> None:
    if not address.startswith(SCHEME) or len(address) == len(SCHEME):
        raise AddressError(f"{address!r} is not of the form {SCHEME}NAME")
