"""Both sides of a gRPC connection without I/O: what a peer may send, split anywhere, and what each side makes of it."""

from __future__ import annotations

import base64
import tracemalloc
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, RstStreamFrame, SettingsFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import grpc_bytes
from tests.support.grpc_bytes import PREFACE, SETTINGS, Peer, data, frames_of, goaway, message, ping, reset, window
from transports.calls.protobuf import encode_rpc_status
from transports.errors import LocalProtocolError, MessageTooLarge, RemoteProtocolError, StatusCode, Unreachable
from transports.grpc.calling import ClientConnection
from transports.grpc.codec import MAX_MESSAGE, decode_text, decode_timeout, encode_text, encode_timeout
from transports.grpc.serving import ServerConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from transports.calls.connection import Called, Replied

S = StatusCode


def client(*greeting: bytes) -> ClientConnection:
    """One whose server has said its first word."""
    connection = ClientConnection(lambda: 0.0)
    for part in greeting or (SETTINGS,):
        connection.receive_data(part)
    return connection


def server(max_calls: int = 10) -> ServerConnection:
    """One that was greeted."""
    connection = ServerConnection(max_calls, lambda: 0.0)
    assert list(connection.receive_data(PREFACE + SETTINGS)) == []
    return connection


def asked(connection: ClientConnection, count: int = 1) -> list[int]:
    """Ids of calls that wait for their answers."""
    return [connection.send_request("t.S", "Echo", b"hi") for _ in range(count)]


def pieces(stream: bytes, cuts: Iterable[int]) -> Iterable[bytes]:
    """The stream, cut there."""
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return (stream[start:end] for start, end in pairwise(places))


def from_server() -> bytes:
    """An answer, a failure in trailers alone, one with details, an answer in headers of many frames, and an end."""
    peer = Peer()
    details = base64.b64encode(encode_rpc_status(5, "x", (b"\x0a\x01a",))).decode().rstrip("=")
    return b"".join(
        (
            SETTINGS,
            grpc_bytes.settings(ack=1),
            ping(7),
            peer.answer(1, b"one"),
            peer.failure(3, 5, "no such %E2%82%AC%0A"),
            peer.headers(5, (":status", "200"), ("content-type", "application/grpc"), ("x", "y" * 50), pieces=4),
            *(data(5, bytes((byte,))) for byte in message(b"in crumbs")),
            peer.headers(5, ("grpc-status", "0"), end=True),
            peer.failure(7, 13, "", ("grpc-status-details-bin", details)),
            reset(9, 7),
            goaway(11, 0, b"bye"),
            peer.answer(11, b"still"),
        )
    )


EXPECTED: list[tuple[Any, ...]] = [
    (1, 0, "", b"one", ()),
    (3, 5, "no such \u20ac\n", b"", ()),
    (5, 0, "", b"in crumbs", ()),
    (7, 13, "", b"", (b"\x0a\x01a",)),
    (9, 14, "the agent reset the call (HTTP/2 error 7)", b"", ()),
    (13, 14, "the agent takes no more calls on this connection (GOAWAY, HTTP/2 error 0: bye)", b"", ()),
    (11, 0, "", b"still", ()),
]


@given(st.lists(st.integers(0, 2000), max_size=40))
@settings(max_examples=60)
def test_a_client_makes_the_same_of_any_chunking(cuts: list[int]) -> None:
    connection = ClientConnection(lambda: 0.0)
    asked(connection, 7)
    replies: list[Replied] = []
    for piece in pieces(from_server(), cuts):
        replies += connection.receive_data(piece)
    assert list(map(tuple, replies)) == EXPECTED
    assert connection.failure is None
    assert isinstance(connection.leaving, Unreachable)


def from_client() -> bytes:
    """Calls, one in crumbs, one taken back, refused ones, and at last a frame that breaks HTTP/2."""
    peer = Peer()
    return b"".join(
        (
            PREFACE,
            SETTINGS,
            peer.call(1, b"one", "/t.S/Echo", ("k", "v"), ("grpc-timeout", "5m")),
            peer.request(3),
            *(data(3, bytes((byte,))) for byte in message(b"two")),
            data(3, b"", end=True),
            peer.call(5, b"", "/nowhere"),
            peer.call(7, b"taken back"),
            reset(7),
            peer.call(9, b"", "/t.S/Echo", ("grpc-timeout", "5x")),
            peer.call(11, b"last"),
            data(1, b"").replace(b"\0\0\0\1", b"\0\0\0\0"),
            peer.call(13, b"never seen"),
        )
    )


@given(st.lists(st.integers(0, 2000), max_size=40))
@settings(max_examples=60)
def test_a_server_makes_the_same_of_any_chunking(cuts: list[int]) -> None:
    connection = ServerConnection(10, lambda: 0.0)
    calls: list[Called] = []
    for piece in pieces(from_client(), cuts):
        calls += connection.receive_data(piece)
    assert [(call.stream_id, call.request.payload) for call in calls] == [
        (1, b"one"),
        (3, b"two"),
        (7, b"taken back"),
        (11, b"last"),
    ]
    assert calls[0].request == ("t.S", "Echo", b"one", 5_000_000, (("k", "v"),))
    assert list(connection.taken_back()) == [7]
    assert isinstance(connection.failure, RemoteProtocolError)
    *_, last = frames_of(connection.data_to_send())
    assert isinstance(last, GoAwayFrame)
    assert last.error_code == 1


def test_a_server_says_nothing_before_its_client_has() -> None:
    connection = ServerConnection(10, lambda: 0.0)
    assert connection.data_to_send() == b""
    connection.receive_data(PREFACE + SETTINGS[:5])
    assert connection.data_to_send() == b""
    connection.receive_data(SETTINGS[5:])
    first = next(iter(frames_of(connection.data_to_send())))
    assert isinstance(first, SettingsFrame)
    assert first.settings[SettingsFrame.MAX_CONCURRENT_STREAMS] == 10


@pytest.mark.parametrize(
    ("begun", "hint"),
    [
        (b"\x00\x00\x00\x05* HT\x02\x00", "ttRPC"),
        (b"HTTP/1.1 400 Bad Request\r\n", "HTTP/1"),
        (b"\x16\x03\x01 anything", "does not speak HTTP/2"),
        (ping(), "does not speak HTTP/2"),
    ],
)
def test_a_server_of_another_protocol_is_named(begun: bytes, hint: str) -> None:
    connection = client(begun)
    assert isinstance(connection.failure, RemoteProtocolError)
    assert hint in str(connection.failure)
    with pytest.raises(LocalProtocolError):
        asked(connection)


def test_a_client_of_another_protocol_is_told_in_http_2_and_let_go() -> None:
    connection = ServerConnection(10, lambda: 0.0)
    assert list(connection.receive_data(b"\x00\x00\x00\x10\x00\x00\x00\x01\x01\x00")) == []
    assert "ttRPC" in str(connection.failure)
    kinds = [type(frame).__name__ for frame in frames_of(connection.data_to_send())]
    assert (kinds[0], kinds[-1]) == ("SettingsFrame", "GoAwayFrame")


# One answer: what comes of it


def _answers(peer: Peer) -> dict[str, tuple[bytes, int, str]]:
    ok = peer.headers(1, (":status", "200"), ("content-type", "application/grpc"))
    return {
        "a message over 4 MiB is refused by its length": (
            ok + data(1, (0).to_bytes() + (MAX_MESSAGE + 1).to_bytes(4)),
            S.RESOURCE_EXHAUSTED,
            f"{MAX_MESSAGE + 1} bytes",
        ),
        "a compressed message": (ok + data(1, message(b"x", compressed=1)), S.INTERNAL, "compressed"),
        "two messages": (ok + data(1, message(b"x") + message(b"y")), S.INTERNAL, "second"),
    }


@pytest.mark.parametrize("name", list(_answers(Peer())))
def test_an_answer_that_is_refused_at_once(name: str) -> None:
    sent, code, text = _answers(Peer())[name]
    connection = client()
    asked(connection)
    (reply,) = connection.receive_data(sent)
    assert (reply.code, reply.stream_id) == (code, 1)
    assert text in reply.message
    *_, last = frames_of(connection.data_to_send())
    assert isinstance(last, RstStreamFrame)
    assert connection.failure is None


Fields = tuple[tuple[str, str], ...]


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        (((":status", "503"),), S.UNAVAILABLE, "HTTP status 503"),
        (((":status", "404"),), S.UNIMPLEMENTED, "HTTP status 404"),
        (((":status", "200"),), S.UNKNOWN, "no grpc-status"),
        (((":status", "200"), ("grpc-status", "what")), S.UNKNOWN, ""),
        (((":status", "200"), ("grpc-status", "0")), S.INTERNAL, "no message"),
        (((":status", "200"), ("grpc-status", "2"), ("grpc-message", "EOF")), S.UNKNOWN, "EOF"),
        (((":status", "200"), ("grpc-status", "77"), ("grpc-message", "%zz%")), 77, "%zz%"),
    ],
)
def test_an_answer_of_headers_alone(fields: Fields, code: int, text: str) -> None:
    connection = client()
    asked(connection)
    (reply,) = connection.receive_data(Peer().headers(1, *fields, end=True))
    assert reply.code == code
    assert text in reply.message


def test_an_answer_that_breaks_off_is_no_answer() -> None:
    peer, connection = Peer(), client()
    asked(connection)
    sent = peer.headers(1, (":status", "200")) + data(1, message(b"xyz")[:-1])
    (reply,) = connection.receive_data(sent + peer.headers(1, ("grpc-status", "0"), end=True))
    assert (reply.code, reply.payload) == (S.INTERNAL, b"")


# Windows and numbers of streams


def test_a_client_keeps_to_the_server_s_windows_and_goes_on_when_they_open() -> None:
    connection = client(grpc_bytes.settings(INITIAL_WINDOW_SIZE=10))
    connection.data_to_send()
    stream_id = connection.send_request("t.S", "Echo", bytes(100))
    sent = [frame for frame in frames_of(connection.data_to_send()) if isinstance(frame, DataFrame)]
    assert sum(len(frame.data) for frame in sent) == 10
    connection.receive_data(window(stream_id, 90))
    connection.receive_data(grpc_bytes.settings(INITIAL_WINDOW_SIZE=15))
    rest = [frame for frame in frames_of(connection.data_to_send()) if isinstance(frame, DataFrame)]
    assert sum(len(frame.data) for frame in rest) == 95
    assert "END_STREAM" in rest[-1].flags


def test_a_client_is_busy_while_the_server_has_enough_streams_or_opens_no_window() -> None:
    connection = client(grpc_bytes.settings(MAX_CONCURRENT_STREAMS=2, INITIAL_WINDOW_SIZE=0))
    asked(connection)
    assert not connection.busy
    asked(connection)
    assert connection.busy
    connection.receive_data(Peer().failure(1, 5))
    assert not connection.busy
    connection.receive_data(grpc_bytes.settings(MAX_CONCURRENT_STREAMS=100))
    connection.send_request("t.S", "Echo", bytes(MAX_MESSAGE))
    assert connection.busy


def test_a_server_holds_replies_for_a_closed_window_and_is_busy() -> None:
    connection = ServerConnection(10, lambda: 0.0)
    connection.receive_data(PREFACE + grpc_bytes.settings(INITIAL_WINDOW_SIZE=0))
    connection.receive_data(Peer().call(1))
    connection.send_reply(1, bytes(MAX_MESSAGE))
    assert connection.busy
    assert connection.outgoing_bytes < 1000
    connection.receive_data(reset(1))
    assert not connection.busy


def test_a_window_beyond_2_31_is_the_client_s_fault() -> None:
    connection = server()
    connection.receive_data(window(0, 2**31 - 1))
    assert isinstance(connection.failure, RemoteProtocolError)


def test_calls_that_were_taken_back_count_until_their_handlers_have_ended() -> None:
    peer, connection = Peer(), server(max_calls=2)
    for stream_id in (1, 3):
        assert len(connection.receive_data(peer.call(stream_id) + reset(stream_id))) == 1
    assert not connection.receive_data(peer.call(5))
    assert connection.calls == 2
    connection.send_reply(1, b"to nobody")
    assert (connection.calls, connection.dropped_replies) == (1, 1)
    assert len(connection.receive_data(peer.call(7))) == 1


# A caller that gives up, and a server that leaves


def test_given_up_calls_are_reset_in_order_when_the_queue_is_taken() -> None:
    connection = client()
    first, second = asked(connection, 2)
    connection.data_to_send()
    connection.forget(second)
    connection.forget(first)
    assert connection.outgoing_bytes > 0
    resets = [frame for frame in frames_of(connection.data_to_send()) if isinstance(frame, RstStreamFrame)]
    assert [(frame.stream_id, frame.error_code) for frame in resets] == [(first, 8), (second, 8)]


def test_after_a_goaway_no_call_is_begun() -> None:
    connection = client()
    connection.receive_data(goaway(0, 11, b"calm"))
    with pytest.raises(Unreachable, match="calm"):
        asked(connection)


def test_what_is_too_large_or_out_of_range_is_never_sent() -> None:
    connection = client()
    connection.data_to_send()
    with pytest.raises(MessageTooLarge):
        connection.send_request("t.S", "Echo", bytes(MAX_MESSAGE + 1))
    for nanos in (-1, 2**63):
        with pytest.raises(LocalProtocolError):
            connection.send_request("t.S", "Echo", b"", nanos)
    assert connection.data_to_send() == b""


# Floods


def _rapid_resets(peer: Peer) -> Iterable[bytes]:
    return (peer.request(2 * n + 1) + reset(2 * n + 1) for n in range(2000))


FLOODS: dict[str, Callable[[Peer], Iterable[bytes]]] = {
    "settings": lambda _: (SETTINGS for _ in range(3000)),
    "pings": lambda _: (ping(n) for n in range(3000)),
    "rapid resets": _rapid_resets,
    "data of no bytes": lambda peer: (peer.request(1), *(data(1, b"") for _ in range(3000))),
    "windows by crumbs": lambda _: (window(0, 1) * 100 for _ in range(300)),
    "continuations": lambda peer: (peer.headers(1, *((f"x{n}", "y") for n in range(100)), pieces=50),),
    "a block that is too long": lambda peer: (peer.headers(1, *((f"x{n}", "y" * 9000) for n in range(30)), pieces=18),),
    "a list that is too long": lambda peer: (peer.request(1, "/t.S/Echo", *((("x", "y" * 4000),) * 80)),),
    "a frame of 16 MiB": lambda _: (b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_the_connection_within_bounds(name: str) -> None:
    connection = server(max_calls=1000)
    tracemalloc.start()
    try:
        for part in FLOODS[name](Peer()):
            connection.receive_data(part)
            connection.data_to_send()
            if connection.failure is not None:
                break
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(connection.failure, RemoteProtocolError)
    assert peak < 4 * 1024 * 1024


def test_a_peer_that_pings_at_leisure_is_served_for_ever() -> None:
    now = 0.0
    connection = ServerConnection(10, lambda: now)
    connection.receive_data(PREFACE + SETTINGS)
    for number in range(5000):
        now += 0.1
        connection.receive_data(ping(number))
        connection.data_to_send()
    assert connection.failure is None


def test_calls_that_never_become_complete_are_bounded_together() -> None:
    peer, connection = Peer(), server(max_calls=100)
    head, refused = message(bytes(MAX_MESSAGE))[:-1], 0
    for stream_id in range(1, 13, 2):
        connection.receive_data(peer.request(stream_id))
        sent = b"".join(data(stream_id, head[at : at + 16384]) for at in range(0, len(head), 16384))
        connection.receive_data(sent)
        refused += sum(isinstance(frame, RstStreamFrame) for frame in frames_of(connection.data_to_send()))
    assert connection.failure is None
    # four fit, and the fifth gives its room back with its refusal
    assert refused >= 1
    assert connection.calls == 0


# gRPC's own words


@given(st.text(max_size=200))
def test_any_text_comes_back_from_its_percent_encoding(text: str) -> None:
    encoded = encode_text(text)
    assert all(0x20 <= byte < 0x7F for byte in encoded)
    assert decode_text(encoded) == text.encode(errors="replace").decode()


@given(st.integers(1, 2**63 - 1))
def test_a_timeout_is_eight_digits_at_most_and_never_shorter_than_meant(nanos: int) -> None:
    encoded = encode_timeout(nanos)
    assert len(encoded) <= 9
    assert nanos <= decode_timeout(encoded) <= nanos * 1.001 + 1


@pytest.mark.parametrize("value", [b"", b"5", b"5x", b"123456789n", b"-1n", b"1.5S", b" 5m"])
def test_what_is_no_timeout(value: bytes) -> None:
    with pytest.raises(ValueError, match="grpc-timeout"):
        decode_timeout(value)


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=200)
def test_any_bytes_break_the_connection_or_nothing(junk: bytes, as_frames: bool) -> None:
    # whole frames get further than bytes
    if as_frames:
        junk = b"".join(
            len(part).to_bytes(3) + bytes((part[0] % 11, part[1] & 0x2D)) + (part[2] % 4).to_bytes(4) + part
            for part in (junk[at : at + 12] for at in range(0, len(junk) - 12, 12))
        )
    for side in (client(), server()):
        side.receive_data(junk)
        assert side.failure is None or isinstance(side.failure, RemoteProtocolError)
