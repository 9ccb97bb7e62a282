"""The listening side: one raw REP socket for all peers, each identified by its nng pipe.

One task drains the socket, whatever the actors behind do: a full receive queue would hide a peer's death. Received
messages are handed on in `turns`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from transports.errors import EndpointBroken, RemoteProtocolError
from transports.nng.endpoint import Heartbeat, NngEndpoint, check_hello, hello
from transports.nng.flusher import Flusher
from transports.nng.sockets import RECV_MAX_BYTES
from transports.nng.turns import Turns
from transports.nng.window import PEERS_BYTES
from transports.parking import ParkingSpot
from transports.shared_bound import SharedBound

if TYPE_CHECKING:
    from collections.abc import Callable

    from transports.base import Endpoint, Receiver
    from transports.nng.sockets import RawRep

__all__ = ["NngListener"]

# nng messages received in one go before other tasks get their turn
DRAIN = 32
# concurrent peers; one file descriptor each
MAX_PEERS = 4096
# lost pipes that are remembered, so that their still queued messages do not create a new peer
REMEMBERED = 4096

# peers of another version that were sent our HELLO, to be closed at the next heartbeat tick
TURNED_AWAY = 64

# heartbeat ticks without a HELLO before a peer is closed; a tick is a quarter of the time to a PING
LOOKS_BEFORE_HELLO = 8

_log = logging.getLogger("katrio")


class NngListener:
    """One bound address. See `transports.base.Listener`."""

    def __init__(
        self,
        address: str,
        socket: RawRep,
        accept: Callable[[Endpoint], Receiver],
        *,
        message_bytes: int,
        credit: int,
        heartbeat: Heartbeat,
    ) -> None:
        self._address = address
        self._socket = socket
        self._accept = accept
        self._message_bytes = message_bytes
        self._credit = credit
        self._heartbeat = heartbeat
        self._peers: dict[int, NngEndpoint] = {}
        self._gone: dict[int, None] = {}
        # pipes without HELLO yet -> ticks since they connected
        self._silent: dict[int, int] = {}
        self._turned_away: list[int] = []
        self._flusher = Flusher()
        self._turns = Turns()
        self._memory = SharedBound(PEERS_BYTES)
        self._no_turns: ParkingSpot[None] = ParkingSpot()

    @property
    def address(self) -> str:
        return self._address

    async def run(self) -> None:
        """Serve until cancelled; then every peer's receiver is notified."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._flusher.run)
                nursery.start_soon(self._watch)
                nursery.start_soon(self._take_turns)
                while True:
                    await trio.lowlevel.wait_readable(self._socket.recv_fd)
                    idle = not self._turns.waiting
                    self._drain(DRAIN)
                    if idle:
                        # at once, which saves a lone request a task switch
                        self._take_turn()
                    self._flusher.flush_marked()
        finally:
            for endpoint in list(self._peers.values()):
                endpoint.finish(EndpointBroken(f"{self._address} is no longer served"))

    def pipe_added(self, pipe: int) -> None:
        """nng callback: a peer connected; it has some seconds to send HELLO."""
        if pipe not in self._peers and pipe not in self._gone:
            self._silent[pipe] = 0

    def pipe_removed(self, pipe: int) -> None:
        """nng callback: a peer is gone; what it sent before is received first."""
        endpoint = self._peers.get(pipe)
        if endpoint is not None:
            while self._drain(DRAIN):
                pass
            endpoint.lost()
            self._wake_turns()
            self._flusher.flush_marked()
        elif pipe in self._silent:
            _log.warning(
                "%s: a peer went away before its hello, or nng cut it off for over %d bytes",
                self._address,
                RECV_MAX_BYTES,
            )
        self._forget(pipe)

    # called by endpoints

    def transmit(self, endpoint: NngEndpoint, frame: bytes) -> bool:
        """See `Carrier.transmit`."""
        return self._socket.send(endpoint.pipe, frame)

    def flush_soon(self, endpoint: NngEndpoint) -> None:
        """See `Carrier.flush_soon`."""
        self._flusher.mark(endpoint)

    def arrived(self, endpoint: NngEndpoint) -> None:
        """See `Carrier.arrived`."""
        self._turns.add(endpoint)

    def drop(self, endpoint: NngEndpoint) -> None:
        """See `Carrier.drop`."""
        self._peers.pop(endpoint.pipe, None)
        self._forget(endpoint.pipe)
        # the peer must learn of the end, even a silent one; after a goodbye this counts as the answer
        self._socket.close_pipe(endpoint.pipe)

    def _take_turn(self) -> None:
        for endpoint in self._turns.take(alone=len(self._peers) == 1):
            self._flusher.note(endpoint)
        self._wake_turns()

    def _wake_turns(self) -> None:
        if self._turns.waiting:
            self._no_turns.unpark()

    async def _take_turns(self) -> None:
        """One round per scheduler pass, while more is waiting than one round hands on."""
        while True:
            if self._turns.waiting:
                await trio.lowlevel.checkpoint()
            else:
                await self._no_turns.park()
            self._take_turn()
            self._flusher.flush_marked()

    def _drain(self, most: int) -> bool:
        """Receive up to `most` nng messages; whether there may be more."""
        if self._turns.full:
            # handing on makes room, and depends on no other task
            return False
        for _ in range(most):
            received = self._socket.receive()
            if received is None:
                return False
            pipe, body = received
            endpoint = self._peers.get(pipe)
            if endpoint is None:
                self._greet(pipe, body)
            else:
                endpoint.frame(body)
                self._flusher.note(endpoint)
        return True

    def _greet(self, pipe: int, body: bytes) -> None:
        if pipe in self._gone:
            return
        try:
            check_hello(body)
            if len(self._peers) >= MAX_PEERS:
                raise RemoteProtocolError(f"{MAX_PEERS} peers are here already")
        except RemoteProtocolError as error:
            _log.warning("%s: turning a peer away: %s", self._address, error)
            self._forget(pipe)
            if len(self._turned_away) < TURNED_AWAY:
                # a peer of another version is sent ours; closing the pipe now would overtake that
                self._socket.send(pipe, hello())
                self._turned_away.append(pipe)
            else:
                self._socket.close_pipe(pipe)
            return
        endpoint = NngEndpoint(
            f"{self._address}#{pipe}",
            pipe,
            self,
            message_bytes=self._message_bytes,
            credit=self._credit,
            account=self._memory.account(),
        )
        self._peers[pipe] = endpoint
        self._silent.pop(pipe, None)
        endpoint.receiver = self._accept(endpoint)
        self._socket.send(pipe, hello())

    def _forget(self, pipe: int) -> None:
        self._silent.pop(pipe, None)
        self._gone[pipe] = None
        if len(self._gone) > REMEMBERED:
            del self._gone[next(iter(self._gone))]

    async def _watch(self) -> None:
        while True:
            turned_away, self._turned_away = self._turned_away, []
            await trio.sleep(self._heartbeat.every)
            for pipe in turned_away:
                self._socket.close_pipe(pipe)
            self._drain(DRAIN)
            self._wake_turns()
            self._watch_silent()
            for endpoint in list(self._peers.values()):
                endpoint.watch(self._heartbeat)
            self._flusher.flush_marked()

    def _watch_silent(self) -> None:
        for pipe, looks in list(self._silent.items()):
            self._silent[pipe] = looks + 1
            if looks >= LOOKS_BEFORE_HELLO:
                _log.warning("%s: turning a peer away: it said no hello", self._address)
                self._forget(pipe)
                self._socket.close_pipe(pipe)
