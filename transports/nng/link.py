"""The dialling side: one raw REQ socket for one connection.

A lost connection ends the link; its owner makes a new one. nng is never allowed to reconnect by itself: messages
left in the socket's queue would reach the next server.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from transports.errors import EndpointBroken, RemoteProtocolError, TransportError, Unreachable
from transports.nng.endpoint import Heartbeat, NngEndpoint, check_hello, hello
from transports.nng.flusher import Flusher

if TYPE_CHECKING:
    from transports.base import Endpoint, Receiver
    from transports.nng.sockets import RawReq

__all__ = ["NngLink"]

# wait for the peer's HELLO after connecting
HELLO_SECONDS = 5.0
# while waiting for HELLO, how often to check for a lost peer
HELLO_POLL_SECONDS = 0.05
# nng messages received in one go before other tasks get their turn
DRAIN = 128
# messages, and bytes, handed on in one go
TURN_MESSAGES = 64
TURN_BYTES = 256 * 1024


class NngLink:
    """One dialled connection; `run` owns its tasks, the caller owns the socket."""

    def __init__(
        self, address: str, socket: RawReq, receiver: Receiver, *, message_bytes: int, credit: int, heartbeat: Heartbeat
    ) -> None:
        self._address = address
        self._socket = socket
        self._receiver = receiver
        self._heartbeat = heartbeat
        self._make = partial(NngEndpoint, address, 0, self, message_bytes=message_bytes, credit=credit)
        self._endpoint: NngEndpoint | None = None
        self._lost = False
        self._flusher = Flusher()
        self._scope = trio.CancelScope()

    async def run(self, *, task_status: trio.TaskStatus[Endpoint]) -> None:
        """Exchange HELLO, then run until the endpoint has ended.

        Raises (before it has started):
            Unreachable: the peer went away or stayed silent.
            RemoteProtocolError: the peer does not speak our protocol.
        """
        endpoint = await self._greet()
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._flusher.run)
                    nursery.start_soon(self._watch, endpoint)
                    task_status.started(endpoint)
                    await self._read(endpoint)
        finally:
            endpoint.finish(EndpointBroken(f"the link to {self._address} was cut on our side"))

    def pipe_removed(self, pipe: int) -> None:
        """nng callback: the peer is gone; what it sent before is received first."""
        self._lost = True
        endpoint = self._endpoint
        if endpoint is not None:
            while self._drain(endpoint):
                pass
            endpoint.lost()
            while self._hand_on(endpoint):
                pass

    # called by the endpoint

    def transmit(self, endpoint: NngEndpoint, frame: bytes) -> bool:
        """See `Carrier.transmit`."""
        return self._socket.send(frame)

    def flush_soon(self, endpoint: NngEndpoint) -> None:
        """See `Carrier.flush_soon`."""
        self._flusher.mark(endpoint)

    def arrived(self, endpoint: NngEndpoint) -> None:
        """See `Carrier.arrived`: the draining task hands on."""

    def drop(self, endpoint: NngEndpoint) -> None:
        """See `Carrier.drop`: the link ends with its endpoint."""
        self._scope.cancel()

    async def _greet(self) -> NngEndpoint:
        if not self._socket.send(hello()):
            raise Unreachable(f"nobody answers on {self._address}: it went away again")
        body: bytes | None = None
        with trio.move_on_after(HELLO_SECONDS):
            while body is None:
                # losing a pipe does not make the socket readable
                with trio.move_on_after(HELLO_POLL_SECONDS):
                    await trio.lowlevel.wait_readable(self._socket.recv_fd)
                body = self._received()
                if body is None and self._lost:
                    break
        if self._lost:
            raise Unreachable(f"nobody answers on {self._address}: it went away again")
        if body is None:
            raise Unreachable(f"{self._address} is there and says no hello")
        try:
            check_hello(body)
        except RemoteProtocolError as error:
            raise RemoteProtocolError(f"{self._address}: what answers there is not one of ours: {error}") from error
        endpoint = self._endpoint = self._make()
        endpoint.receiver = self._receiver
        return endpoint

    async def _read(self, endpoint: NngEndpoint) -> None:
        more = False
        while True:
            if more:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(self._socket.recv_fd)
            self._drain(endpoint)
            more = self._hand_on(endpoint)
            self._flusher.flush_marked()

    def _drain(self, endpoint: NngEndpoint) -> bool:
        """Receive up to `DRAIN` nng messages; whether there may be more."""
        for _ in range(DRAIN):
            body = self._received()
            if body is None:
                return False
            endpoint.frame(body)
            self._flusher.note(endpoint)
        return True

    def _hand_on(self, endpoint: NngEndpoint) -> bool:
        self._flusher.note(endpoint)
        return endpoint.hand_on(TURN_MESSAGES, TURN_BYTES)

    def _received(self) -> bytes | None:
        try:
            received = self._socket.receive()
        except TransportError:
            return None
        return None if received is None else received[1]

    async def _watch(self, endpoint: NngEndpoint) -> None:
        while True:
            await trio.sleep(self._heartbeat.every)
            self._drain(endpoint)
            while self._hand_on(endpoint):
                pass
            endpoint.watch(self._heartbeat)
            self._flusher.flush_marked()
