"""A hostile peer's tiny frames: of no kind is there an endless number, as each costs the host time that others want.

The clock stands still: a rate is its burst here. What bounds what a kind of frame costs is in its table.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

import pytest

from tests.support.grpc_bytes import PREFACE, SETTINGS, Peer, data, goaway, ping, reset, settings, window
from tests.support.yamux_pair import syn
from transports.errors import RemoteProtocolError
from transports.grpc.calling import ClientConnection
from transports.grpc.http2 import LATE_FRAMES as LATE_ON_CALL
from transports.grpc.http2 import STREAM_WINDOW
from transports.grpc.serving import ServerConnection
from transports.strays import IDLE, MOST_STRAYS, RESETS, WINDOWS
from transports.yamux.codec import WINDOW_BYTES, Flag, Kind, encode
from transports.yamux.session import BACKLOG, LATE_FRAMES, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Made = Callable[[Peer, int], bytes]

MANY = 100_000
# one more frame than the bound ends it
BURST, CUT = int(IDLE.burst) + 1, int(RESETS.burst) + 1
# by a hundred
CRUMBS = int(WINDOWS.burst) // 100 + 1
STRAY = MOST_STRAYS + 1
# that are still sent when what was sent before has used up all but these of a window
REST = 5

# yamux. The host has stream 1 live, 3 reset by itself, 5 reset by its peer and 7 ended by both; nobody takes streams


def session() -> Session:
    host = Session(client=True, clock=lambda: 0.0)
    for stream in (1, 3, 5, 7):
        assert host.open() == stream
        host.receive_data(encode(Kind.WINDOW, Flag.ACK, stream, 0))
    host.reset(3)
    host.receive_data(encode(Kind.WINDOW, Flag.RST, 5, 0))
    host.close(7)
    host.data_to_send()
    host.receive_data(encode(Kind.WINDOW, Flag.FIN, 7, 0))
    assert host.streams == 1
    # late, and lawful
    host.receive_data(encode(Kind.DATA, 0, 3, WINDOW_BYTES - REST) + bytes(WINDOW_BYTES - REST))
    return host


# the two that may be late on 3 and 7
LATE = 2 * LATE_FRAMES + STRAY


def byte(stream: int) -> bytes:
    return encode(Kind.DATA, 0, stream, 1) + b"x"


YAMUX: dict[str, tuple[Callable[[int], bytes], int]] = {
    "pings": (lambda n: encode(Kind.PING, Flag.SYN, 0, n), BURST),
    "answers to no ping": (lambda n: encode(Kind.PING, Flag.ACK, 0, n), LATE),
    "pings that ask nothing": (lambda n: encode(Kind.PING, 0, 0, n), LATE),
    "go-aways": (lambda _: encode(Kind.GO_AWAY, 0, 0, 0), STRAY + 1),
    "data of no bytes, live": (lambda _: encode(Kind.DATA, 0, 1, 0), BURST),
    "windows by nothing, live": (lambda _: encode(Kind.WINDOW, 0, 1, 0), BURST),
    "windows by crumbs, live": (lambda _: encode(Kind.WINDOW, 0, 1, 1) * 100, CRUMBS),
    "ACKs, live": (lambda _: encode(Kind.WINDOW, Flag.ACK, 1, 0), BURST),
    "ends, live": (lambda _: encode(Kind.DATA, Flag.FIN, 1, 0), BURST + 1),
    "resets, live": (lambda _: encode(Kind.WINDOW, Flag.RST, 1, 0), LATE + 1),
    "data on a stream that we reset": (lambda _: byte(3), REST + STRAY),
    "data on a stream that they reset": (lambda _: byte(5), REST + STRAY),
    "data on a stream that both ended": (lambda _: byte(7), REST + STRAY),
    "data of no bytes on one that is over": (lambda _: encode(Kind.DATA, 0, 5, 0), LATE),
    "windows of one that is over": (lambda _: encode(Kind.WINDOW, 0, 7, 1), LATE),
    "ends of one that is over": (lambda _: encode(Kind.WINDOW, Flag.FIN, 3, 0), LATE),
    "resets of one that is over": (lambda _: encode(Kind.WINDOW, Flag.RST, 3, 0), LATE),
    "frames for one never opened": (lambda _: encode(Kind.WINDOW, 0, 9, 1), 1),
    "frames for one that was passed over": (lambda n: encode(Kind.WINDOW, 0, 2, 1) if n else syn(4), LATE + 1),
    "streams that nobody takes": (lambda n: syn(2 * n + 2), BACKLOG + CUT),
    "streams that are taken back": (
        lambda n: syn(2 * n + 2) + encode(Kind.WINDOW, Flag.RST, 2 * n + 2, 0),
        CUT,
    ),
    "streams that are taken back at once": (lambda n: encode(Kind.WINDOW, Flag.SYN | Flag.RST, 2 * n + 2, 0), CUT),
}


@pytest.mark.parametrize("kind", YAMUX)
def test_no_tiny_frame_of_yamux_comes_for_ever(kind: str) -> None:
    frame, bound = YAMUX[kind]
    host, came = session(), 0
    while host.failure is None and came < MANY:
        with contextlib.suppress(RemoteProtocolError):
            host.receive_data(frame(came))
        host.data_to_send()
        came += 1
    assert host.failure is not None
    assert came == bound


def test_bytes_one_by_one_have_their_stream_s_window_and_no_more() -> None:
    host = session()
    host.receive_data(byte(1) * 1000)
    assert host.unread(1) == host.buffered == 1000
    with pytest.raises(RemoteProtocolError, match="its window has"):
        host.receive_data(encode(Kind.DATA, 0, 1, WINDOW_BYTES - 999) + bytes(WINDOW_BYTES - 999))


# gRPC. Call 1 is in progress, 3 was given up, 5 was answered


def calling(peer: Peer) -> ClientConnection:
    host = ClientConnection(lambda: 0.0)
    host.receive_data(SETTINGS)
    for _ in range(3):
        host.send_request("t.S", "Echo", b"")
    host.forget(3)
    host.data_to_send()
    host.receive_data(peer.answer(5) + peer.headers(3, (":status", "200")))
    for size in [16384 - REST] + [16384] * (STREAM_WINDOW // 16384 - 1):
        host.receive_data(data(3, bytes(size)))
    return host


def serving(peer: Peer) -> ServerConnection:
    host = ServerConnection(4, lambda: 0.0)
    host.receive_data(PREFACE + SETTINGS + peer.request(1) + peer.call(5))
    host.send_reply(5, b"")
    host.data_to_send()
    return host


def raw(kind: int, stream_id: int, body: bytes = b"", flags: int = 0) -> bytes:
    return len(body).to_bytes(3) + bytes((kind, flags)) + stream_id.to_bytes(4) + body


# SETTINGS were one
EITHER: dict[str, tuple[Made, int]] = {
    "settings": (lambda _, __: SETTINGS, BURST - 1),
    "their acknowledgements": (lambda _, __: settings(ack=1), BURST - 1),
    "pings": (lambda _, n: ping(n), BURST - 1),
    "answers to no ping": (lambda _, __: raw(6, 0, bytes(8), 1), BURST - 1),
    "priorities, live": (lambda _, __: raw(2, 1, bytes(5)), BURST - 1),
    "priorities, over": (lambda _, __: raw(2, 5, bytes(5)), BURST - 1),
    "priorities, idle": (lambda _, __: raw(2, 99, bytes(5)), BURST - 1),
    "a type that nobody has": (lambda _, n: raw(0xEE, n % 7), BURST - 1),
    "go-aways": (lambda _, __: goaway(99), BURST - 1),
    "windows by crumbs": (lambda _, __: window(0, 1) * 100, CRUMBS),
    "windows by crumbs, live": (lambda _, __: window(1, 1) * 100, CRUMBS),
    "windows of one that is over": (lambda _, __: window(5, 1) * 100, CRUMBS),
    "resets of one that is over": (lambda _, __: reset(5), CUT),
    "data of one never begun": (lambda _, __: data(99, b""), 1),
    "resets of one never begun": (lambda _, __: reset(99), CUT),
    "windows of one never begun": (lambda _, __: window(99, 1), 1),
    "pieces of a block": (lambda _, n: raw(9, 7) if n else raw(1, 7), 34),
}
ON_CLIENT: dict[str, tuple[Made, int]] = {
    "early answers": (lambda peer, _: peer.headers(1, (":status", "103")), BURST - 1),
    "data of no bytes": (lambda peer, n: data(1, b"") if n else peer.headers(1, (":status", "200")), BURST),
    "data of padding": (lambda peer, n: raw(0, 1, b"\2\0\0", 8) if n else peer.headers(1, (":status", "200")), BURST),
    "data of one that was given up": (lambda _, __: data(3, b"x"), REST + STRAY),
    "data of one that was answered": (lambda _, __: data(5, b"x"), REST + STRAY),
    "ends of one that was answered": (lambda _, __: data(5, b"", end=True), LATE_ON_CALL - 1 + STRAY),
    "headers of one that was answered": (
        lambda peer, _: peer.headers(5, ("grpc-status", "0"), end=True),
        LATE_ON_CALL - 1 + STRAY,
    ),
    "an answer to nobody": (lambda peer, _: peer.headers(7, (":status", "200")), 1),
}
ON_SERVER: dict[str, tuple[Made, int]] = {
    "calls that are taken back": (lambda peer, n: peer.request(2 * n + 7) + reset(2 * n + 7), CUT),
    "calls beyond the bound": (lambda peer, n: peer.request(2 * n + 7), 3 + CUT),
    "calls that have themselves reset": (lambda peer, n: peer.request(2 * n + 7) + raw(8, 2 * n + 7, bytes(4)), CUT),
    "the same by a window beyond 2^31": (
        lambda peer, n: peer.request(2 * n + 7) + window(2 * n + 7, 2**31 - 1),
        CUT,
    ),
    "calls that are malformed": (lambda peer, n: peer.headers(2 * n + 7, ("X", "y"), end=True), CUT),
    "calls of a number that served": (lambda peer, _: peer.request(5, end=True), STRAY),
    "data of one that was answered": (lambda _, __: data(5, b"x"), STRAY),
    "ends of one that was answered": (lambda _, __: data(5, b"", end=True), STRAY),
    "data of no bytes": (lambda _, __: data(1, b""), BURST - 1),
    "data of padding": (lambda _, __: raw(0, 1, b"\0", 8), BURST - 1),
    "promises": (lambda _, __: raw(5, 1, bytes(4), 4), 1),
}


def sent(made: Made, peer: Peer) -> Iterator[bytes]:
    return (made(peer, number) for number in itertools.count())


def check(host: ClientConnection | ServerConnection, frames: Iterator[bytes], bound: int) -> None:
    came = 0
    while host.failure is None and came < MANY:
        came += 1
        host.receive_data(next(frames))
        host.data_to_send()
    assert isinstance(host.failure, RemoteProtocolError)
    assert came == bound


@pytest.mark.parametrize("kind", EITHER | ON_CLIENT)
def test_no_tiny_frame_of_http2_comes_for_ever_to_a_client(kind: str) -> None:
    made, bound = (EITHER | ON_CLIENT)[kind]
    peer = Peer()
    check(calling(peer), sent(made, peer), bound)


@pytest.mark.parametrize("kind", EITHER | ON_SERVER)
def test_no_tiny_frame_of_http2_comes_for_ever_to_a_server(kind: str) -> None:
    made, bound = (EITHER | ON_SERVER)[kind]
    peer = Peer()
    check(serving(peer), sent(made, peer), bound)
