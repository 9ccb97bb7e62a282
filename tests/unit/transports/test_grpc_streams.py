"""Who pays for what on a gRPC connection: an offence on one stream costs its call, and what comes too late costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hpack import Decoder
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, RstStreamFrame, WindowUpdateFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.grpc_bytes import PREFACE, SETTINGS, Peer, data, frames_of, message, reset, window
from transports.errors import RemoteProtocolError, StatusCode
from transports.grpc.calling import ClientConnection
from transports.grpc.serving import ServerConnection

if TYPE_CHECKING:
    from collections.abc import Callable

S = StatusCode
OK = ((":status", "200"), ("content-type", "application/grpc"))
DONE = ("grpc-status", "0")
PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, REFUSED_STREAM = 1, 3, 5, 7


def client(calls: int) -> ClientConnection:
    connection = ClientConnection(lambda: 0.0)
    connection.receive_data(SETTINGS)
    for _ in range(calls):
        connection.send_request("t.S", "Echo", b"hi")
    connection.data_to_send()
    return connection


def server(max_calls: int = 10) -> ServerConnection:
    connection = ServerConnection(max_calls, lambda: 0.0)
    connection.receive_data(PREFACE + SETTINGS)
    connection.data_to_send()
    return connection


# What comes for a call that was given up


def late_pieces(peer: Peer, stream_id: int) -> list[bytes]:
    """What a server has said before it reads that a call was given up; in order, as headers are compressed."""
    return [
        peer.headers(stream_id, (":status", "103")),
        peer.headers(stream_id, *OK, ("x", f"of {stream_id}")),
        data(stream_id, message(bytes(5))[:5]),
        window(stream_id, 1),
        data(stream_id, message(bytes(5))[5:]),
        peer.headers(stream_id, DONE, ("y", f"of {stream_id}"), end=True),
        reset(stream_id, 0),
    ]


@given(st.integers(0, 7), st.lists(st.integers(0, 6), max_size=7))
@settings(max_examples=60)
def test_an_answer_is_given_up_at_any_moment_and_the_next_ones_are_read(before: int, lost: list[int]) -> None:
    peer, connection = Peer(), client(2)
    pieces = late_pieces(peer, 1)
    replies = [reply for piece in pieces[:before] for reply in connection.receive_data(piece)]
    connection.forget(1)
    connection.data_to_send()
    for number, piece in enumerate(pieces[before:], before):
        # headers have to come all the same: the next ones count on them
        if number not in lost or piece[3] == 1:
            assert not connection.receive_data(piece)
    replies += connection.receive_data(peer.headers(3, *OK, ("x", "of 1"), ("y", "of 1")) + data(3, message(b"two")))
    replies += connection.receive_data(peer.headers(3, DONE, end=True))
    assert [reply for reply in replies if reply.stream_id == 3] == [(3, 0, "", b"two", ())]
    assert connection.failure is None


def test_a_late_answer_is_no_news_however_many_calls_have_ended_since() -> None:
    peer, connection = Peer(), client(1100)
    for stream_id in range(1, 2200, 2):
        connection.forget(stream_id)
    connection.data_to_send()
    new = connection.send_request("t.S", "Echo", b"")
    connection.data_to_send()
    for stream_id in range(1, 2200, 2):
        assert not connection.receive_data(peer.answer(stream_id))
    assert connection.failure is None
    # it is ignored, and not answered
    assert connection.data_to_send() == b""
    assert connection.receive_data(peer.answer(new, b"mine")) == [(new, 0, "", b"mine", ())]


def test_late_data_gives_its_room_back_to_the_connection() -> None:
    peer, connection = Peer(), client(40)
    room, given_back = 4 * 1024 * 1024, 0
    for stream_id in range(1, 81, 2):
        assert not connection.receive_data(peer.headers(stream_id, *OK))
        connection.forget(stream_id)
    connection.data_to_send()
    for stream_id in range(1, 81, 2):
        for _ in range(16):
            assert not connection.receive_data(data(stream_id, bytes(16 * 1024)))
            room -= 16 * 1024
        for frame in frames_of(connection.data_to_send()):
            assert isinstance(frame, WindowUpdateFrame)
            assert frame.stream_id == 0
            given_back += frame.window_increment
        assert room + given_back > 3 * 1024 * 1024
    assert connection.failure is None


def test_a_server_reads_on_what_a_client_said_of_a_call_that_it_refused() -> None:
    peer, connection = Peer(), server()
    connection.receive_data(peer.request(1, "nowhere"))
    refused = list(frames_of(connection.data_to_send()))
    assert [type(frame) for frame in refused] == [HeadersFrame, RstStreamFrame]
    assert not connection.receive_data(data(1, b"x" * 100) + window(1, 5) + data(1, b"", end=True) + reset(1))
    (call,) = connection.receive_data(peer.call(3, b"next"))
    assert (call.stream_id, call.request.payload) == (3, b"next")
    assert connection.failure is None


# An offence of one answer

Offence = tuple["Callable[[Peer], bytes]", int, str]

ANSWERS: dict[str, Offence] = {
    "a page": (
        lambda peer: peer.headers(1, (":status", "503"), ("content-type", "text/html")) + data(1, b"<html>", end=True),
        S.UNAVAILABLE,
        "HTTP status 503, content-type text/html",
    ),
    "a page of 502": (lambda peer: peer.headers(1, (":status", "502")) + data(1, b"Bad Gateway"), S.UNAVAILABLE, "502"),
    "a page of 418": (lambda peer: peer.headers(1, (":status", "418")) + data(1, b"tea"), S.UNKNOWN, "418"),
    "a page that is well": (
        lambda peer: peer.headers(1, (":status", "200"), ("content-type", "text/plain")) + data(1, b"hello", end=True),
        S.UNKNOWN,
        "content-type text/plain",
    ),
    "a proxy that speaks gRPC": (
        lambda peer: peer.headers(1, (":status", "503"), ("grpc-status", "4"), ("grpc-message", "slow"), end=True),
        S.DEADLINE_EXCEEDED,
        "slow",
    ),
    "no status": (lambda peer: peer.headers(1, *OK) + data(1, message(b"x"), end=True), S.UNKNOWN, "no grpc-status"),
    "a name with capitals": (lambda peer: peer.headers(1, *OK, ("X-Y", "z")), S.INTERNAL, "X-Y"),
    "a value of two lines": (lambda peer: peer.headers(1, *OK, ("x", "a\r\nb")), S.INTERNAL, "breaks its line"),
    "a header of HTTP/1": (lambda peer: peer.headers(1, *OK, ("connection", "close")), S.INTERNAL, "connection"),
    "no HTTP status": (lambda peer: peer.headers(1, DONE, end=True), S.INTERNAL, ":status"),
    "a status that is none": (lambda peer: peer.headers(1, (":status", "2000")), S.INTERNAL, "2000"),
    "two statuses": (lambda peer: peer.headers(1, *OK[:1], *OK), S.INTERNAL, "twice"),
    "a pseudo header in the trailers": (
        lambda peer: peer.headers(1, *OK) + peer.headers(1, *OK, end=True),
        S.INTERNAL,
        "",
    ),
    "trailers and more": (lambda peer: peer.headers(1, *OK) + peer.headers(1, DONE), S.INTERNAL, "trailers"),
    "an end before the answer": (lambda peer: peer.headers(1, (":status", "100"), end=True), S.INTERNAL, "before"),
    "data before the headers": (lambda _: data(1, message(b"x")), S.INTERNAL, "before"),
    "another length than it says": (
        lambda peer: (
            peer.headers(1, *OK, ("content-length", "1")) + data(1, message(b"x")) + peer.headers(1, DONE, end=True)
        ),
        S.OK,
        "",
    ),
    "more than its window": (
        lambda peer: (
            peer.headers(1, *OK)
            + data(1, (bytes(1) + (2**20).to_bytes(4)))
            + b"".join(data(1, bytes(16 * 1024)) for _ in range(17))
        ),
        # our window grows with what is read
        S.OK,
        "",
    ),
    "a window that grows by nothing": (lambda _: window_of_nothing(1), S.INTERNAL, "by nothing"),
    "headers of 70,000 bytes": (
        lambda peer: peer.headers(1, *OK, *((f"x{n}", "y" * 7000) for n in range(10)), pieces=6),
        S.RESOURCE_EXHAUSTED,
        "65536 is the most",
    ),
    "trailers of 70,000 bytes": (
        lambda peer: (
            peer.headers(1, *OK)
            + data(1, message(b"x"))
            + peer.headers(1, DONE, *((f"x{n}", "y" * 7000) for n in range(10)), end=True, pieces=6)
        ),
        S.RESOURCE_EXHAUSTED,
        "65536 is the most",
    ),
}


def window_of_nothing(stream_id: int) -> bytes:
    return b"\0\0\4\x08\0" + stream_id.to_bytes(4) + bytes(4)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_offence_in_one_answer_fails_its_call_alone(name: str) -> None:
    sent, code, text = ANSWERS[name]
    peer, connection = Peer(), client(2)
    replies = list(connection.receive_data(sent(peer)))
    if code != S.OK:
        ((stream_id, got, why, payload, _),) = replies
        assert (stream_id, got, payload) == (1, code, b"")
        assert text in why
    assert connection.failure is None
    assert connection.receive_data(peer.answer(3, b"well")) == [(3, 0, "", b"well", ())]


# An offence of one call


def resets(connection: ServerConnection) -> list[tuple[int, int]]:
    return [
        (frame.stream_id, frame.error_code)
        for frame in frames_of(connection.data_to_send())
        if isinstance(frame, RstStreamFrame)
    ]


GOOD = ((":method", "POST"), (":scheme", "http"), (":path", "/t.S/Echo"))
KIND = ("content-type", "application/grpc")

CALLS: dict[str, tuple[Callable[[Peer], bytes], int]] = {
    "a name with capitals": (lambda peer: peer.request(3, "/t.S/Echo", ("X-Y", "z")), PROTOCOL_ERROR),
    "no name": (lambda peer: peer.request(3, "/t.S/Echo", ("", "z")), PROTOCOL_ERROR),
    "a value of two lines": (lambda peer: peer.request(3, "/t.S/Echo", ("x", "a\nb")), PROTOCOL_ERROR),
    "a header of HTTP/1": (lambda peer: peer.request(3, "/t.S/Echo", ("transfer-encoding", "chunked")), PROTOCOL_ERROR),
    "te of another kind": (lambda peer: peer.headers(3, *GOOD, KIND, ("te", "gzip")), PROTOCOL_ERROR),
    "no method": (lambda peer: peer.headers(3, *GOOD[1:], KIND), PROTOCOL_ERROR),
    "no path": (lambda peer: peer.headers(3, *GOOD[:2], KIND), PROTOCOL_ERROR),
    "two paths": (lambda peer: peer.headers(3, *GOOD, GOOD[2], KIND), PROTOCOL_ERROR),
    "a pseudo header too late": (lambda peer: peer.headers(3, *GOOD[:2], KIND, GOOD[2]), PROTOCOL_ERROR),
    "a pseudo header of an answer": (lambda peer: peer.headers(3, *GOOD, (":status", "200"), KIND), PROTOCOL_ERROR),
    "trailers that are malformed": (
        lambda peer: peer.request(3) + data(3, message(b"")) + peer.headers(3, ("X", "y"), end=True),
        PROTOCOL_ERROR,
    ),
    "trailers and more": (lambda peer: peer.request(3) + peer.headers(3, ("x", "y")), PROTOCOL_ERROR),
    "a window that grows by nothing": (lambda peer: peer.request(3) + window_of_nothing(3), PROTOCOL_ERROR),
    "a window beyond 2^31": (lambda peer: peer.request(3) + window(3, 2**31 - 1), FLOW_CONTROL_ERROR),
    "a number that served": (lambda peer: peer.call(3, b"ended") + reset(3) + peer.call(3, b"again"), STREAM_CLOSED),
    "a number that was passed over": (lambda peer: peer.call(5) + peer.call(3), STREAM_CLOSED),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_offence_in_one_call_resets_it_alone(name: str) -> None:
    sent, code = CALLS[name]
    peer, connection = Peer(), server()
    connection.receive_data(peer.call(1, b"before"))
    connection.receive_data(sent(peer))
    assert [told for _, told in resets(connection)] == [code]
    (call,) = connection.receive_data(peer.call(9, b"after", "/t.S/Echo", ("x", "y")))
    assert call.request.metadata == (("x", "y"),)
    connection.send_reply(9, b"well")
    answer = [frame for frame in frames_of(connection.data_to_send()) if isinstance(frame, DataFrame)]
    assert [(frame.stream_id, frame.data) for frame in answer] == [(9, message(b"well"))]
    assert connection.failure is None


@pytest.mark.parametrize(
    "fields",
    [
        # as a caller over a unix socket may have it
        (),
        (("host", "x"),),
        (("x", " y "),),
        (("content-length", "77"),),
        tuple((f"x{number}", "y" * 1000) for number in range(60)),
    ],
)
def test_a_call_is_served_whose_headers_are_odd_and_within_what_we_advertise(
    fields: tuple[tuple[str, str], ...],
) -> None:
    peer, connection = Peer(), server()
    sent = peer.headers(1, *GOOD, KIND, *fields, pieces=5) + data(1, message(b"x"), end=True)
    (call,) = connection.receive_data(sent)
    assert (call.request.service, call.request.payload) == ("t.S", b"x")


def test_padding_priorities_trailers_and_frames_of_nobody_are_read_over() -> None:
    peer, connection = Peer(), server()
    block = peer.request(1)[9:]
    padded = bytes((2,)) + (1 | 1 << 31).to_bytes(4) + b"\x10" + block + bytes(2)
    sent = len(padded).to_bytes(3) + b"\x01" + bytes((0x4 | 0x8 | 0x20,)) + (1).to_bytes(4) + padded
    # a stream that depends on itself, ALTSVC without its length, and a type that nobody has
    sent += b"\0\0\5\2\0\0\0\0\1\0\0\0\1\x10" + b"\0\0\1\x0a\0\0\0\0\0\xff" + b"\0\0\0\xee\0\0\0\0\0"
    assert not connection.receive_data(sent + data(1, message(b"x")))
    (call,) = connection.receive_data(peer.headers(1, ("x", "y"), end=True))
    assert call.request.payload == b"x"
    assert connection.failure is None


@pytest.mark.parametrize("ended", [True, False])
def test_a_call_with_too_many_headers_is_answered_and_the_next_is_served(ended: bool) -> None:
    peer, connection = Peer(), server()
    fields = tuple((f"x{number}", "y" * 8000) for number in range(20))
    connection.receive_data(peer.headers(1, *GOOD, KIND, *fields, pieces=12, end=ended))
    head, *rest = frames_of(connection.data_to_send())
    assert isinstance(head, HeadersFrame)
    assert dict(Decoder().decode(head.data, raw=True))[b"grpc-status"] == b"8"
    assert [type(frame) for frame in rest] == ([] if ended else [RstStreamFrame])
    assert not connection.receive_data(b"" if ended else data(1, message(b"x"), end=True))
    (call,) = connection.receive_data(peer.call(3, b"y", "/t.S/Echo", fields[0]))
    assert call.request.metadata == (fields[0],)
    assert connection.failure is None


def test_calls_beyond_the_bound_are_told_that_nobody_looked_at_them() -> None:
    """A client that has not read our settings yet keeps no bound."""
    peer, connection = Peer(), server(max_calls=2)
    for stream_id in (1, 3, 5, 7):
        connection.receive_data(peer.request(stream_id))
    assert resets(connection) == [(5, REFUSED_STREAM), (7, REFUSED_STREAM)]
    (call,) = connection.receive_data(
        data(1, message(b"x"), end=True) + data(5, message(b"x"), end=True) + window(7, 1)
    )
    assert call.stream_id == 1
    connection.send_reply(1, b"")
    assert len(connection.receive_data(peer.call(9))) == 1
    assert connection.failure is None


# An offence against the connection


ENDS: dict[str, Offence] = {
    "a frame of 16 MiB": (lambda _: b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", 6, "16777215 bytes is announced"),
    "data on a stream that nobody began": (lambda _: data(1, b"x"), 1, "HTTP/2"),
    "data on no stream": (lambda _: data(1, b"").replace(b"\0\0\0\1", b"\0\0\0\0"), 1, "HTTP/2"),
    "a number that is no client's": (lambda peer: peer.request(2), 1, "stream 2"),
    "headers that can't be read": (lambda _: b"\0\0\1\1\x04\0\0\0\1\xff", 9, "decompressed"),
    "a block that is interrupted": (
        lambda peer: peer.headers(1, *GOOD, pieces=2).replace(b"\x09\4", b"\x09\0") + SETTINGS,
        1,
        "interrupted",
    ),
    "a block that nobody began": (lambda _: b"\0\0\0\x09\4\0\0\0\1", 1, "where none was begun"),
    "a block of 360 kB": (
        lambda peer: peer.headers(1, *((f"x{n}", "y" * 9000) for n in range(40)), pieces=30),
        11,
        "header block",
    ),
    "a window beyond 2^31": (lambda _: window(0, 2**31 - 1), 3, "HTTP/2"),
    "a window of a stream that nobody began": (lambda _: window(1, 5), 1, "HTTP/2"),
    "nothing for one that nobody began": (lambda _: window_of_nothing(1024), 1, "HTTP/2"),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_end_of_a_connection_says_why(name: str) -> None:
    sent, code, text = ENDS[name]
    connection = server()
    connection.receive_data(sent(Peer()))
    assert isinstance(connection.failure, RemoteProtocolError)
    last = [frame for frame in frames_of(connection.data_to_send()) if isinstance(frame, GoAwayFrame)]
    assert len(last) == 1
    assert last[0].error_code == code
    assert last[0].additional_data.decode() == str(connection.failure)[:200]
    assert text in str(connection.failure)
