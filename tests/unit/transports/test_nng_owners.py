"""Listener and link over sockets without nng, in virtual time: who is let in, what comes before an end, who is turned away."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest
import trio
import trio.testing

from actors.nurseries import open_collapsing_nursery
from tests.support.nng_socket import QueuedSocket
from transports.errors import EndpointBroken, RemoteProtocolError, TransportError, Unreachable
from transports.nng.endpoint import Heartbeat, hello
from transports.nng.frames import MAGIC, MAX_MESSAGES, Frame, Kind, encode_frame
from transports.nng.link import DRAIN as LINK_DRAIN
from transports.nng.link import HELLO_SECONDS, NngLink
from transports.nng.listener import DRAIN as LISTENER_DRAIN
from transports.nng.listener import LOOKS_BEFORE_HELLO, TURNED_AWAY, NngListener
from transports.nng.window import CREDIT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from transports.base import Endpoint, Receiver
    from transports.nng.sockets import RawRep, RawReq

ADDRESS = "ipc:///somewhere"
HEARTBEAT = Heartbeat(ping_after=4, dead_after=40)
OURS = Frame(Kind.HELLO, 0, [MAGIC])


class Ear:
    """Keeps what it heard; the end is the last of it."""

    def __init__(self) -> None:
        self.heard: list[bytes | TransportError | None] = []

    def received(self, message: bytes) -> None:
        self.heard.append(message)

    def gone(self, cause: TransportError | None) -> None:
        self.heard.append(cause)


class Ears:
    """Of a listener."""

    def __init__(self) -> None:
        self.by_peer: dict[str, Ear] = {}
        self.endpoints: list[Endpoint] = []

    def accept(self, endpoint: Endpoint) -> Receiver:
        self.endpoints.append(endpoint)
        return self.by_peer.setdefault(endpoint.peer.rpartition("#")[2], Ear())


def data(*messages: bytes) -> bytes:
    return encode_frame(Kind.DATA, 0, list(messages))


def numbered(count: int, size: int = 1) -> list[bytes]:
    return [b"%d" % number + bytes(size) for number in range(count)]


@asynccontextmanager
async def a_listener() -> AsyncGenerator[tuple[QueuedSocket, NngListener, Ears]]:
    ears = Ears()
    with QueuedSocket() as socket:
        listener = NngListener(
            ADDRESS, cast("RawRep", socket), ears.accept, message_bytes=64 * 1024, credit=CREDIT, heartbeat=HEARTBEAT
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run)
            await settle()
            yield socket, listener, ears
            nursery.cancel_scope.cancel()


async def settle() -> None:
    """A descriptor that is readable is seen by the next look of the loop, and takes no virtual time."""
    for _ in range(20):
        await trio.testing.wait_all_tasks_blocked()
        await trio.lowlevel.checkpoint()


async def test_who_says_hello_is_a_peer_whatever_comes_after_it_and_stays_one(autojump_clock: MockClock) -> None:
    async with a_listener() as (socket, listener, ears):
        listener.pipe_added(1)
        socket.put(1, hello(), data(b"one", b"two"))
        await settle()
        assert ears.by_peer["1"].heard == [b"one", b"two"]
        assert socket.sent_to(1)[0] == OURS
        # longer than one that says nothing may take to say hello
        for _ in range(2 * LOOKS_BEFORE_HELLO):
            await trio.sleep(HEARTBEAT.every)
            socket.put(1, data(b"more"))
        assert socket.closed_pipes == []
        assert ears.by_peer["1"].heard.count(b"more") >= LOOKS_BEFORE_HELLO


async def test_who_says_nothing_is_closed_and_does_not_come_back(autojump_clock: MockClock) -> None:
    async with a_listener() as (socket, listener, ears):
        listener.pipe_added(1)
        await trio.sleep(HEARTBEAT.every * (LOOKS_BEFORE_HELLO - 1))
        assert socket.closed_pipes == []
        await trio.sleep(HEARTBEAT.every * 3)
        assert socket.closed_pipes == [1]
        # what of it was still queued, and nng's own word of it
        listener.pipe_removed(1)
        listener.pipe_added(1)
        socket.put(1, hello(), data(b"late"))
        await trio.sleep(HEARTBEAT.every * LOOKS_BEFORE_HELLO * 2)
        assert ears.by_peer == {}
        assert socket.closed_pipes == [1]


@pytest.mark.parametrize(
    "first",
    [b"\xc1", data(b"no hello"), encode_frame(Kind.HELLO, 0, [b"another/9"]), encode_frame(Kind.BYE, 0, [])],
    ids=["no frame", "no hello", "another version", "a goodbye"],
)
async def test_who_begins_otherwise_is_told_what_we_speak_and_closed(first: bytes, autojump_clock: MockClock) -> None:
    async with a_listener() as (socket, listener, ears):
        listener.pipe_added(1)
        socket.put(1, first, data(b"never heard"))
        await settle()
        assert socket.sent_to(1) == [OURS]
        assert socket.closed_pipes == [], "a close at once would overtake that"
        await trio.sleep(HEARTBEAT.every * 3)
        assert socket.closed_pipes == [1]
        assert ears.by_peer == {}


async def test_of_very_many_who_begin_otherwise_the_rest_is_closed_at_once(autojump_clock: MockClock) -> None:
    async with a_listener() as (socket, _, ears):
        for pipe in range(TURNED_AWAY + 3):
            socket.put(pipe, b"\xc1")
        await settle()
        assert socket.closed_pipes == list(range(TURNED_AWAY, TURNED_AWAY + 3))
        assert len(socket.sent) == TURNED_AWAY
        await trio.sleep(HEARTBEAT.every * 3)
        assert sorted(socket.closed_pipes) == list(range(TURNED_AWAY + 3))
        assert ears.by_peer == {}


async def test_what_a_peer_sent_is_heard_before_its_death_and_its_pipe_is_forgotten(autojump_clock: MockClock) -> None:
    async with a_listener() as (socket, listener, ears):
        socket.put(1, hello())
        await settle()
        # unread when nng tells, and more than is taken in one go
        messages = [b"first", b"last"]
        socket.put(1, data(b"first"), *[encode_frame(Kind.PONG, 0, [])] * (2 * LISTENER_DRAIN), data(b"last"))
        listener.pipe_removed(1)
        await settle()
        *heard, end = ears.by_peer["1"].heard
        assert heard == messages
        assert isinstance(end, EndpointBroken)
        socket.put(1, hello(), data(b"late"))
        await settle()
        assert len(ears.endpoints) == 1


async def test_a_goodbye_is_heard_after_what_was_said_before_it_and_is_no_failure(autojump_clock: MockClock) -> None:
    async with a_listener() as (socket, _, ears):
        socket.put(1, hello(), data(*numbered(MAX_MESSAGES)), encode_frame(Kind.BYE, 0, []))
        await settle()
        assert ears.by_peer["1"].heard == [*numbered(MAX_MESSAGES), None]
        assert socket.sent_to(1)[-1].kind is Kind.BYE
        assert socket.closed_pipes == [1]


async def test_floods_are_handed_on_whole_however_often_they_come(autojump_clock: MockClock) -> None:
    async with a_listener() as (socket, _, ears):
        socket.put(1, hello())
        socket.put(2, hello())
        for _ in range(3):
            for pipe in (1, 2):
                socket.put(pipe, data(*numbered(MAX_MESSAGES)))
            await settle()
        assert ears.by_peer["1"].heard == ears.by_peer["2"].heard == numbered(MAX_MESSAGES) * 3


async def test_answers_of_one_pass_leave_in_one_frame_without_anybody_asking(autojump_clock: MockClock) -> None:
    async with a_listener() as (socket, _, ears):
        socket.put(1, hello())
        await settle()
        for _ in range(3):
            socket.sent.clear()
            for message in (b"a", b"b", b"c"):
                ears.endpoints[0].send_nowait(message)
            await settle()
            assert [frame.messages for frame in socket.sent_to(1)] == [[b"a"], [b"b", b"c"]]
            socket.put(1, encode_frame(Kind.DATA, 2, []))
            await settle()


async def test_a_listener_that_ends_tells_every_receiver() -> None:
    async with a_listener() as (socket, _, ears):
        socket.put(1, hello())
        socket.put(2, hello())
        await settle()
    for ear in ears.by_peer.values():
        (end,) = ear.heard
        assert isinstance(end, EndpointBroken)
        assert ADDRESS in str(end)
    assert len(ears.by_peer) == 2


# the dialling side


def a_link(socket: QueuedSocket, ear: Ear) -> NngLink:
    return NngLink(ADDRESS, cast("RawReq", socket), ear, message_bytes=64 * 1024, credit=CREDIT, heartbeat=HEARTBEAT)


async def test_what_the_server_sent_is_heard_before_its_death(autojump_clock: MockClock) -> None:
    ear = Ear()
    with QueuedSocket() as socket:
        link = a_link(socket, ear)
        socket.put(0, hello())
        async with trio.open_nursery() as nursery:
            await nursery.start(link.run)
            messages = [b"first", b"last"]
            socket.put(0, data(b"first"), *[encode_frame(Kind.PONG, 0, [])] * (LINK_DRAIN + 9), data(b"last"))
            link.pipe_removed(0)
            *heard, end = ear.heard
            assert heard == messages
            assert isinstance(end, EndpointBroken)
    assert len(ear.heard) == len(messages) + 1


async def test_a_link_that_is_cut_on_our_side_says_which(autojump_clock: MockClock) -> None:
    ear = Ear()
    with QueuedSocket() as socket:
        link = a_link(socket, ear)
        socket.put(0, hello())
        async with trio.open_nursery() as nursery:
            await nursery.start(link.run)
            nursery.cancel_scope.cancel()
    (end,) = ear.heard
    assert str(end) == f"the link to {ADDRESS} was cut on our side"


async def test_a_server_that_went_away_before_our_hello_is_told_so_at_once(autojump_clock: MockClock) -> None:
    with QueuedSocket() as socket:
        socket.takes = False
        began = trio.current_time()
        with pytest.raises(Unreachable, match="went away again"):
            async with open_collapsing_nursery() as links:
                await links.start(a_link(socket, Ear()).run)
        assert trio.current_time() == began


@pytest.mark.parametrize(
    ("first", "error", "says"),
    [
        (b"", Unreachable, f"{ADDRESS} is there and says no hello"),
        (b"\xc1", RemoteProtocolError, f"{ADDRESS}: what answers there is not one of ours"),
        (None, Unreachable, f"nobody answers on {ADDRESS}: it went away again"),
    ],
    ids=["says nothing", "no server", "goes away"],
)
async def test_what_is_no_server_of_ours_is_told_with_its_address(
    first: bytes | None, error: type[Exception], says: str, autojump_clock: MockClock
) -> None:
    with QueuedSocket() as socket:
        link = a_link(socket, Ear())
        if first:
            socket.put(0, first)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def dial() -> None:
                with pytest.raises(error) as caught:
                    async with open_collapsing_nursery() as links:
                        await links.start(link.run)
                assert says in str(caught.value)

            nursery.start_soon(dial)
            await trio.sleep(1)
            if first is None:
                link.pipe_removed(0)
        assert trio.current_time() - began <= (HELLO_SECONDS if first == b"" else 1.1)
