"""Mailboxes: frames of nng, envelopes, values, a server with hostile clients and a client with a hostile server.

Messages and not a stream: nng keeps them whole. Not for nng itself: what it does on sockets is in
`tests/integration/test_hostile_requests.py`.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import trio
import trio.testing

from actors.errors import InvalidArgument, KatrioError
from actors.limits import DEFAULT_LIMITS
from actors.mailbox import Client
from actors.wire.bounds import MalformedValue, check_value
from actors.wire.codec import decode_details, decode_envelope, decode_value, decode_versions, encode, encode_raw
from actors.wire.envelope import (
    VERSIONS,
    Ask,
    Cancel,
    Chunk,
    Credit,
    Event,
    Failure,
    Goodbye,
    Hello,
    Reply,
    Welcome,
)
from actors.wire.sandbox_verbs import SANDBOX_VERBS, CreateContainer
from actors.wire.spec import ContainerSpec, MountSpec, ProcessSpec, ResourceSpec
from actors.wire.verbs import CONTAINER_VERBS, SYSTEM_VERBS, Exec, Signal, Update
from tests.fuzz.layout import Body, Frames, Layout
from tests.fuzz.target import Target, expect, in_virtual_time
from tests.support.office import Office, an_ask, an_office
from transports.errors import RemoteProtocolError, TransportError
from transports.memory import MemoryTransport
from transports.nng.frames import MAGIC, MAX_MESSAGES, Kind, decode_frame, encode_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transports.base import Endpoint, Receiver

__all__ = ["TARGETS"]

MESSAGES = Layout(
    Body.MSGPACK,
    tokens=(
        b"\xc0", b"\xc1", b"\xff", b"\x00", b"\x80", b"\x90", b"\xcb\x7f\xf8" + bytes(6), b"\xcb\x7f\xf0" + bytes(6),
        b"\xcf" + b"\xff" * 8, b"\xd3\x80" + bytes(7), b"\xd4\x01\x00", b"\xc7\x00\x01", b"\xd6\xff" + bytes(4),
        b"\x91" * 40 + b"\xc0", b"\x82\xa1a\x01\xa1a\x02", b"\x81\x01\x02", b"\xa2\xc3\x28", b"\xdc\x27\x10",
        b"\xd9\x41" + b"x" * 65, b"\xc4\x00", b"\xcf\x80" + bytes(7), b"\xde\x00\x01",
    ),
)  # fmt: skip
LIMITS = replace(DEFAULT_LIMITS, inbox_messages=2, asks_in_flight=3, finished_answers=2)
SERVER = "memory://server"


# frames, envelopes and values


def _frames() -> Sequence[Frames]:
    envelopes = [message for session in (*_to_server(), *_to_client()) for message in session]
    return [
        (
            encode_frame(Kind.HELLO, 0, [MAGIC]),
            encode_frame(Kind.DATA, 3, envelopes[:5]),
            encode_frame(Kind.PING, 0, []),
        ),
        (encode_frame(Kind.DATA, 65536, [b""] * 64), encode_frame(Kind.PONG, 1, []), encode_frame(Kind.BYE, 0, [])),
    ]


def _check_frames(pieces: Frames) -> None:
    for piece in pieces:
        try:
            frame = decode_frame(piece)
        except RemoteProtocolError:
            continue
        expect(decode_frame(encode_frame(*frame)) == frame, "a frame is another after encoding")
        expect(len(frame.messages) <= MAX_MESSAGES, "more messages than a receiver takes at once")


def _check_envelopes(pieces: Frames) -> None:
    for piece in pieces:
        decode_versions(piece)
        try:
            envelope = decode_envelope(piece)
        except RemoteProtocolError:
            continue
        # what it carries is looked into later, and by nobody when nobody asked
        for raw in (getattr(envelope, name, None) for name in ("args", "result", "details", "value")):
            if isinstance(raw, msgspec.Raw):
                decode_details(raw)


@cache
def _shapes() -> tuple[type[Any], ...]:
    tables = (SYSTEM_VERBS, SANDBOX_VERBS, CONTAINER_VERBS)
    found = {shape: None for table in tables for verb in table.values() for shape in (verb.args, verb.result)}
    return (*found, dict)


def _values() -> Sequence[Frames]:
    process = ProcessSpec(args=("sh", "-c", "true"), env={"A": "b"}, cwd="/", user="1:2", tty=True)
    container = ContainerSpec(
        process=process,
        mounts=(MountSpec(source="/a", destination="/b"),),
        resources=ResourceSpec(memory_bytes=2**20, pids=3),
    )
    nothing: list[object] = []
    values: tuple[object, ...] = (
        CreateContainer("box", container), Exec("p1", process), Signal(9), Update(ResourceSpec(cpu_shares=5)),
        {"a": [1, -1, 2.5, None, True, b"x", "y", {"z": nothing}]}, [[[[[1]]]]],
    )  # fmt: skip
    return [tuple(encode(value) for value in values)]


def _check_values(pieces: Frames) -> None:
    """A value is refused as an argument or decodes; and nothing that isn't plain decodes."""
    for piece in pieces:
        plain = True
        try:
            check_value(piece)
        except MalformedValue:
            plain = False
        for shape in _shapes():
            try:
                decode_value(msgspec.Raw(piece), shape)
            except InvalidArgument as error:
                expect(error.details.get("field"), "a refusal without the field's name")
            else:
                expect(plain, f"{shape.__name__} took what is not plain")


# a server


def _to_server() -> Sequence[Frames]:
    hello = Hello(VERSIONS, "hostile", 1, 1)
    asks = [an_ask(1), an_ask(2, budget_ms=1000), an_ask(3, window=4096), Cancel(3), Credit(3, 100), an_ask(2)]
    odd = [an_ask(9, to="nobody"), an_ask(10, budget_ms=0), an_ask(11, window=1), an_ask(1, watermark=20), Cancel(99)]
    return [
        tuple(encode(one) for one in (hello, *asks)),
        tuple(encode(one) for one in (hello, *odd, Goodbye("", "done"))),
        tuple(encode(one) for one in (hello, *(an_ask(number) for number in range(1, 9)))),
    ]


async def _check_server(pieces: Frames) -> None:
    """It answers or ends that link with a word, and serves the next client as before."""
    async with an_office(limits=LIMITS) as office:
        office.nursery.start_soon(office.answer_all)
        peer = await office.stranger()
        for message in pieces:
            try:
                await peer.endpoint.send(message)
            except TransportError:
                break
            await trio.testing.wait_all_tasks_blocked()
        for envelope in peer.envelopes:
            expect(isinstance(envelope, (Welcome, Reply, Failure, Goodbye)), f"it says {envelope}")
        if peer.ended:
            expect(isinstance(peer.envelopes[-1], Goodbye), "a client was cut off without a word")
        await _served_as_before(office)


async def _served_as_before(office: Office) -> None:
    polite = await office.peer("polite")
    told = await polite.say(an_ask(1))
    expect(len(told) == 1 and isinstance(told[0], Reply), f"the next client is answered {told}")


# a client


def _to_client() -> Sequence[Frames]:
    welcome = Welcome(1, "hostile", 256, 65536)
    plain = [Reply(1, encode_raw({"a": 1})), Failure(2, "busy", "later", encode_raw({"field": "x"}))]
    parts = [Chunk(3, 0, b"part"), Chunk(3, 9, b"", 5), Reply(3, encode_raw({}))]
    events = [Event(4, 0, encode_raw({"state": "ready"})), Event(4, 2, encode_raw(1), 1), Goodbye("", "closing")]
    return [
        tuple(encode(one) for one in (welcome, *plain, *parts, *events)),
        tuple(encode(one) for one in (welcome, *parts, Reply(9, encode_raw({})), *plain)),
    ]


class _Hostile:
    """A server that says what it is told to: its first message to a hello, the others once all have asked."""

    def __init__(self, pieces: Frames) -> None:
        self.pieces = pieces
        self.links = 0
        self.asked = 0

    def accept(self, endpoint: Endpoint) -> Receiver:
        self.links += 1
        return _HostileLink(self, endpoint, first=self.links == 1)


class _HostileLink:
    def __init__(self, server: _Hostile, endpoint: Endpoint, *, first: bool) -> None:
        self._server, self._endpoint, self._first = server, endpoint, first

    def received(self, message: bytes) -> None:
        try:
            envelope = decode_envelope(message)
            if isinstance(envelope, Hello):
                # later links are welcomed, and then hear nothing
                plain = encode(Welcome(1, "hostile", 256, 65536))
                self._endpoint.send_nowait(self._server.pieces[0] if self._first and self._server.pieces else plain)
            elif isinstance(envelope, Ask):
                self._server.asked += 1
                if self._first and self._server.asked == _ASKS:
                    for piece in self._server.pieces[1:]:
                        self._endpoint.send_nowait(piece)
        except TransportError:
            return

    def gone(self, cause: TransportError | None) -> None:
        pass


# two asks, a stream and a subscription, with the counters 1 to 4
_ASKS = 4


async def _check_client(pieces: Frames) -> None:
    """Whoever asks is told something within its budget, and only errors of ours are raised."""
    transport, server = MemoryTransport(), _Hostile(pieces)
    client = Client(transport, SERVER, client_id="c", epoch=1)
    ended: list[str] = []
    all_ended = trio.Event()

    def end(name: str) -> None:
        ended.append(name)
        if len(ended) == _ASKS:
            all_ended.set()

    async def ask(name: str) -> None:
        with contextlib.suppress(KatrioError):
            await client.ask("box", name, {}, dict[str, Any], timeout=20)
        end(name)

    async def stream(name: str) -> None:
        try:
            async with client.open_stream("box", name, {}, timeout=20) as parts:
                async for _ in parts:
                    pass
        except KatrioError:
            pass
        end(name)

    async def events(name: str) -> None:
        try:
            with trio.move_on_after(30):
                async with client.open_events("box", name, {}) as parts:
                    async for part in parts:
                        decode_details(part.value)
        except KatrioError:
            pass
        end(name)

    async with trio.open_nursery() as nursery:
        await nursery.start(transport.serve, SERVER, server.accept)
        try:
            async with trio.open_nursery() as clients:
                await clients.start(client.run)
                for work, name in ((ask, "one"), (ask, "two"), (stream, "three"), (events, "four")):
                    clients.start_soon(work, name)
                    await trio.testing.wait_all_tasks_blocked()
                with trio.fail_after(60):
                    await all_ended.wait()
                await client.aclose()
        except* (KatrioError, TransportError):
            expect(not server.asked, "the client ended under its askers")
        nursery.cancel_scope.cancel()


TARGETS = (
    Target("nng-frames", "the frames of an nng link", MESSAGES, _frames, _check_frames, stream=False),
    Target(
        "envelopes",
        "the envelopes of mailboxes",
        MESSAGES,
        lambda: [*_to_server(), *_to_client()],
        _check_envelopes,
        stream=False,
        share=6,
    ),
    Target(
        "values", "arguments and results of every verb", MESSAGES, _values, _check_values, stream=False, share=2,
        calls=(4000, 2000),
    ),
    Target(
        "server", "a server with a hostile client", MESSAGES, _to_server, in_virtual_time(_check_server), stream=False, share=1,
        calls=(60_000, 400),
    ),
    Target(
        "client", "a client with a hostile server", MESSAGES, _to_client, in_virtual_time(_check_client), stream=False,
        share=1, calls=(400_000, 400),
    ),
)  # fmt: skip
