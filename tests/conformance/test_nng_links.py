"""What nng's own endpoints promise beyond the port: credit that nng's queue never overflows, no resend, options that took.

Peers here are raw sockets driven by hand, so that each can stall as it likes while the server's loop runs on.
"""

from __future__ import annotations

import os
import random
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from tests.support.raw_peer import HELLO_FRAME, RawPeer, a_raw_peer
from tests.support.starts import started
from transports.errors import TransportError
from transports.nng import Heartbeat, NngTransport
from transports.nng.frames import Kind, decode_frame
from transports.nng.sockets import RECV_MAX_BYTES, RawRep, RawReq
from transports.nng.window import CREDIT, Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from transports.base import Endpoint, Receiver

BOUND_SECONDS = 20
# what nng queues for one pipe of a raw REP socket before it drops in silence
NNG_QUEUE = 64
MESSAGES = 400
CLIENTS = 4


@pytest.fixture(params=["inproc", "ipc"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"inproc://{tmp_path.name}" if request.param == "inproc" else f"ipc://{tmp_path}/own/server"


async def until(condition: Callable[[], bool]) -> None:
    """What an nng thread or a raw socket brings about has no event to wait for."""
    with trio.fail_after(BOUND_SECONDS):
        while True:
            if condition():
                return
            await trio.sleep(0.001)


class Side:
    """The server's end of one link: keeps what comes."""

    endpoint: Endpoint

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.cause: list[TransportError | None] = []

    def received(self, message: bytes) -> None:
        self.got.append(message)

    def gone(self, cause: TransportError | None) -> None:
        self.cause.append(cause)


class Stalling:
    """A client by hand with the window of a real one; it reads and writes when it is told."""

    def __init__(self, address: str, credit: int) -> None:
        self._socket = RawReq()
        self._socket.dial(address)
        assert self._socket.send(HELLO_FRAME)
        self._window = Window(message_bytes=64 * 1024, credit=credit)
        self.sent: list[bytes] = []
        self.got: list[bytes] = []

    def say(self, message: bytes) -> None:
        self._window.push(message)
        self.sent.append(message)

    def flush(self) -> None:
        while (frame := self._window.next_frame()) is not None:
            assert self._socket.send(frame), "nng's queue is full, in spite of the credit"

    def read(self, most: int) -> int:
        taken = 0
        while taken < most and (received := self._socket.receive()) is not None:
            frame = decode_frame(received[1])
            taken += 1
            if frame.kind is not Kind.HELLO:
                self._window.take(frame)
                if frame.messages:
                    self._window.handed_on()
                self.got.extend(frame.messages)
        return taken

    def close(self) -> None:
        self._socket.close()


@pytest.mark.parametrize("credit", [1, CREDIT])
@pytest.mark.parametrize("seed", range(3))
async def test_clients_that_stall_at_random_get_everything_in_order(address: str, credit: int, seed: int) -> None:
    rng = random.Random(seed)
    sides: list[Side] = []

    def accept(endpoint: Endpoint) -> Receiver:
        side = Side()
        side.endpoint = endpoint
        sides.append(side)
        return side

    async with trio.open_nursery() as nursery:
        await started(nursery, NngTransport(credit=credit).serve, address, accept)
        clients: list[Stalling] = []
        for number in range(CLIENTS):
            clients.append(Stalling(address, credit))
            await until(partial(_more_than, sides, number))
        async with trio.open_nursery() as pushing:
            for side in sides:
                pushing.start_soon(push, side.endpoint)
            with trio.fail_after(BOUND_SECONDS):
                await drive(rng, clients, sides)
        for client, side in zip(clients, sides, strict=True):
            assert client.got == [b"%d" % number for number in range(MESSAGES)]
            assert side.got == client.sent
            assert side.cause == []
            client.close()
        nursery.cancel_scope.cancel()


def _more_than(sides: list[Side], number: int) -> bool:
    return len(sides) > number


async def push(endpoint: Endpoint) -> None:
    for number in range(MESSAGES):
        await endpoint.send(b"%d" % number)


async def drive(rng: random.Random, clients: list[Stalling], sides: list[Side]) -> None:
    """Until all have said everything and heard everything; each turn most of them stall."""
    while any(len(client.got) < MESSAGES or len(client.sent) < MESSAGES for client in clients) or any(
        len(side.got) < MESSAGES for side in sides
    ):
        client = rng.choice(clients)
        for _ in range(rng.randrange(40)):
            if len(client.sent) < MESSAGES:
                client.say(b"from %d" % len(client.sent))
        client.read(rng.choice([0, 1, 5, 100]))
        if rng.random() < 0.5:
            client.flush()
        # what the server may have un-acked is what nng may have to queue for that pipe, and acks on top
        for side in sides:
            unacked = int(repr(side.endpoint).rpartition(" queued, ")[2].split()[0])
            assert unacked <= CREDIT < NNG_QUEUE
        await trio.sleep(0.0002)


async def test_options_are_set_as_nng_itself_says() -> None:
    for socket, options in (
        (RawRep(), {"recv_buffer_size": 256, "send_buffer_size": 1024, "recv_max_size": RECV_MAX_BYTES}),
        (RawReq(), {"recv_buffer_size": 64, "recv_max_size": RECV_MAX_BYTES, "reconnect_time_min": 3_600_000}),
    ):
        for name, value in options.items():
            assert socket.option(name) == value
        socket.close()


async def test_what_stood_in_a_clients_queue_never_reaches_the_next_server(address: str) -> None:
    if address.startswith("ipc"):
        os.mkdir(os.path.dirname(address.removeprefix("ipc://")))
    first, client = RawRep(), RawReq()
    first.listen(address)
    client.dial(address)
    first.close()
    assert client.send(b"into its queue"), "nng takes it, though nobody is there"
    second = RawRep()
    second.listen(address)
    # long enough for nng to have dialled again five times with its own default
    await trio.sleep(0.5)
    assert second.receive() is None
    client.close()
    second.close()


async def test_a_peer_that_never_says_hello_is_turned_away(address: str) -> None:
    transport = NngTransport(heartbeat=Heartbeat(ping_after=0.04, dead_after=10))
    async with trio.open_nursery() as nursery:
        await started(nursery, transport.serve, address, _any_side)
        with a_raw_peer(address) as silent, a_raw_peer(address) as other:
            other.send_frame(HELLO_FRAME)
            await silent.until_gone(BOUND_SECONDS)
            assert not other.gone
        nursery.cancel_scope.cancel()


def _any_side(_endpoint: Endpoint) -> Receiver:
    return Side()


@pytest.mark.parametrize("size", [66_561, 200_000])
async def test_a_frame_over_the_limit_ends_its_link_on_every_transport(address: str, size: int) -> None:
    sides: list[Side] = []

    def accept(endpoint: Endpoint) -> Receiver:
        sides.append(Side())
        return sides[-1]

    async with trio.open_nursery() as nursery:
        await started(nursery, NngTransport().serve, address, accept)
        with a_raw_peer(address) as large, a_raw_peer(address) as other:
            for peer in (large, other):
                peer.send_frame(HELLO_FRAME)
                await _until_hello(peer)
            large.send_frame(bytes(size))
            await large.until_gone(BOUND_SECONDS)
            other.send(b"still here")
            await until(lambda: bool(sides[1].got))
        assert isinstance(sides[0].cause[0], TransportError)
        nursery.cancel_scope.cancel()


async def _until_hello(peer: RawPeer) -> None:
    def said() -> bool:
        peer.drain()
        return bool(peer.frames)

    await until(said)
