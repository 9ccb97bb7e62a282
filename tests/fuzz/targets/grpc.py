"""gRPC over HTTP/2: its own codecs, both sides of a connection without I/O, and client and server as they run.

Well-formed sessions are what our own sides say to each other, and frames that only other peers send. Not for h2 itself,
which is somebody else's: but nothing of it may get past us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import hpack

from tests.fuzz.layout import Body, Field, Frames, Layout, frames_of
from tests.fuzz.target import Target, expect, outcome_of
from tests.fuzz.targets.calls_live import check_of_client, check_of_server
from tests.fuzz.targets.ttrpc import OPEN_CALLS, vectors
from transports.errors import LocalProtocolError, RemoteProtocolError, Unreachable
from transports.grpc import codec
from transports.grpc.calling import ClientConnection
from transports.grpc.client import GrpcClient
from transports.grpc.gate import GOAWAY, HEADER_BYTES, MAX_FRAME, PREFACE
from transports.grpc.server import GrpcServer
from transports.grpc.serving import ServerConnection

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FRAMES", "TARGETS", "split"]

LENGTH = Field("length", 0, 3, (MAX_FRAME,))
FRAMES = Layout(
    Body.BYTES,
    header=HEADER_BYTES,
    fields=(
        LENGTH,
        Field("type", 3, 1, tuple(range(11))),
        Field("flags", 4, 1, (1, 4, 5, 8, 0x20, 0x2D)),
        Field("stream", 5, 4, (1, 3, 5)),
    ),
    length=LENGTH,
    tokens=(
        b"\0\xff\xff\xff\xff", b"\1\0\0\0\1x", b"\0\0\x40\0\0", b"\0\0\0\0\0", b"\xbe" * 200, b"\x3f\xe1\xff\x03",
        b"\x7f\xff\xff\xff\xff\x0f", b"\x40\x00\x01x", b"\x10\x07:status\x03abc", b"\x20", b"\x80", b"\0\0\0\0",
        b"\x7f\xff\xff\xff", b"\0\4\0\0\0\0", b"\0\4\x7f\xff\xff\xff", b"\0\5\0\0\x40\0", b"\0\1\0\0\0\0", b"\0\6\0\0\0\1",
    ),
)  # fmt: skip
# what our sides may make of HTTP/2 for each byte that came: a refusal has headers
MOST_ANSWERED = 40


def _still() -> float:
    return 0.0


def _frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    return len(body).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + body


def _client() -> ClientConnection:
    """With calls in flight."""
    client = ClientConnection(_still)
    for _ in range(OPEN_CALLS):
        client.send_request("t.S", "Echo", b"x")
    return client


def _requests() -> Sequence[Frames]:
    """What a client says."""
    client = ClientConnection(_still)
    sessions: list[Frames] = []
    for start in range(0, 18, 6):
        for one in vectors()[start : start + 6]:
            client.send_request(one.service, one.method, one.request, 10**9 * (start % 4))
        sessions.append(split(client.data_to_send()))
    small = split(_client().data_to_send())
    other = (
        _frame(4, 1, 0), _frame(6, 0, 0, b"12345678"), _frame(8, 0, 0, b"\0\0\x10\0"), _frame(8, 0, 1, b"\0\0\x10\0"),
        _frame(3, 0, 3, b"\0\0\0\x08"), _frame(2, 0, 1, b"\0\0\0\0\x10"), _frame(7, 0, 0, bytes(8) + b"bye"),
        _frame(4, 0, 0, b"\0\4\0\0\0\x10\0\5\0\0\x40\0"), _frame(0, 1, 1, b""), _frame(0, 8, 5, b"\x03ab\0\0\0"),
    )  # fmt: skip
    bomb = hpack.Encoder().encode([(b"x", b"y" * 4000)])
    many = (*small[:2], _frame(1, 4, 1, bomb + b"\xbe" * 4000), _frame(1, 0, 3, b"\x82"), _frame(9, 4, 3, b"\x86"))
    return [small, (*small, *other), (*small[:3], *other, *small[3:]), many, *sessions]


def _answers() -> Sequence[Frames]:
    """What a server says to calls 1, 3 and 5."""
    server, asked = ServerConnection(8, _still), _client().data_to_send()
    calls = server.receive_data(asked)
    server.send_reply(calls[0].stream_id, b"reply" * 30)
    detail = b"\x0a\x04t/Xy\x12\x02\x0a\x00"
    server.send_status(calls[1].stream_id, 5, "no such container: \u00e9%", (detail,))
    server.send_reply(calls[2].stream_id, b"")
    plain = frames_of(FRAMES, server.data_to_send())
    other = (
        _frame(4, 1, 0), _frame(6, 0, 0, b"12345678"), _frame(8, 0, 0, b"\0\0\x10\0"), _frame(3, 0, 3, b"\0\0\0\x07"),
        _frame(4, 0, 0, b"\0\3\0\0\0\0"), _frame(5, 4, 1, b"\0\0\0\2\x82"), _frame(7, 0, 0, b"\0\0\0\1\0\0\0\0bye"),
        _frame(0, 0, 5, b"\0\0\0\0\5he"), _frame(0, 1, 5, b"llo"),
    )  # fmt: skip
    odd = hpack.Encoder().encode([(b":status", b"502"), (b"content-type", b"text/html"), (b"grpc-status", b"-1")])
    return [plain, (*plain[:2], *other, *plain[2:]), (*plain[:1], _frame(1, 5, 1, odd), *plain[1:], *other)]


def split(stream: bytes) -> Frames:
    """What a client says, from its preface on."""
    return (PREFACE, *frames_of(FRAMES, stream.removeprefix(PREFACE)))


def _check_client(pieces: Frames) -> None:
    """Each call has one answer at most, the same at any chunking; after a failure nothing is heard, called or said."""
    client, whole = _client(), _client()
    answers = [reply for piece in pieces for reply in client.receive_data(piece)]
    expect(answers == list(whole.receive_data(b"".join(pieces))), "other replies at another chunking")
    expect(str(client.failure) == str(whole.failure), "another failure at another chunking")
    expect(str(client.leaving) == str(whole.leaving), "another goodbye at another chunking")
    out = client.data_to_send()
    expect(out == whole.data_to_send(), "it says something else at another chunking")
    ids = [reply.stream_id for reply in answers]
    expect(len(set(ids)) == len(ids) and set(ids) <= {1, 3, 5}, f"replies to {ids}")
    _check_said(out.removeprefix(PREFACE), pieces, 2000)
    for stream_id in {1, 3, 5} - set(ids):
        client.forget(stream_id)
    client.data_to_send()
    try:
        client.send_request("t.S", "Echo", b"")
    except (LocalProtocolError, Unreachable):
        expect(
            client.failure is not None or client.leaving is not None or client.busy,
            "it calls no more, without a reason",
        )
    else:
        expect(client.failure is None, "it calls after its failure")
    if client.failure is not None:
        expect(isinstance(client.failure, RemoteProtocolError), f"failed with {client.failure!r}")
        expect(not client.receive_data(_answers()[0][0]) and not client.data_to_send(), "it hears after its failure")


def _check_server(pieces: Frames) -> None:
    """It serves no more than it may, and answers in frames; an offence against HTTP/2 ends it with a word."""
    server, whole, answering = (ServerConnection(2, _still) for _ in range(3))
    calls = [call for piece in pieces for call in server.receive_data(piece)]
    expect(calls == list(whole.receive_data(b"".join(pieces))), "other calls at another chunking")
    expect(str(server.failure) == str(whole.failure), "another failure at another chunking")
    expect(server.taken_back() == whole.taken_back(), "other calls are taken back at another chunking")
    out = server.data_to_send()
    expect(out == whole.data_to_send(), "it says something else at another chunking")
    expect(len(calls) == server.calls <= 2, f"{len(calls)} calls are in progress")
    for at, call in enumerate(calls):
        if at:
            server.send_status(call.stream_id, 2, call.request.method, (call.request.payload,))
        else:
            server.send_reply(call.stream_id, call.request.payload * 10)
    expect(server.calls == 0, "calls are in progress after every answer")
    if server.failure is not None:
        expect(isinstance(server.failure, RemoteProtocolError), f"failed with {server.failure!r}")
        expect(not server.receive_data(PREFACE) and not server.data_to_send(), "it answers after its failure")
        said = frames_of(FRAMES, out)
        expect(said[-1][3] == GOAWAY, "the client is not told that it failed")
    _check_said(out + server.data_to_send(), pieces, 2000)
    # and with answers in between
    for piece in pieces:
        for call in answering.receive_data(piece):
            answering.send_reply(call.stream_id, call.request.payload)
        answering.data_to_send()


def _check_said(out: bytes, pieces: Frames, once: int) -> None:
    frames = frames_of(FRAMES, out)
    expect(b"".join(frames) == out and all(len(one) >= HEADER_BYTES for one in frames), "it says half a frame")
    came = sum(map(len, pieces))
    expect(len(out) <= once + MOST_ANSWERED * came, f"{len(out)} bytes are said to {came}")


# codecs


def _words() -> Sequence[Frames]:
    return [
        (codec.encode_message(b"payload"), codec.encode_message(b"")),
        (b"10S", b"99999999H", b"0n", codec.encode_timeout(2**63 - 1)),
        (codec.encode_text("no such \u00e9 100 %\n"), codec.encode_details(5, "no", (b"\x0a\x01t",)) or b""),
    ]


def _check_words(pieces: Frames) -> None:
    """Each is read or refused."""
    for piece in pieces:
        # whatever it is, it is a text, and details or none: a failure must not hide behind them
        codec.decode_text(piece)
        codec.decode_details(piece)
        try:
            nanos = codec.decode_timeout(piece)
        except ValueError:
            pass
        else:
            expect(codec.decode_timeout(codec.encode_timeout(nanos)) >= nanos, "a timeout shrinks")
        expect(
            _message((piece,)) == _message((piece[:3], piece[3:7], piece[7:])), "another message at another chunking"
        )


def _message(pieces: Frames) -> str:
    reader = codec.MessageReader()
    try:
        for piece in pieces:
            reader.feed(piece)
        return outcome_of(reader.finish())
    except codec.MessageError as error:
        return outcome_of(error.code)


_WORDS = Layout(
    Body.TEXT,
    tokens=(b"%", b"%C3", b"%zz", b"=", b"====", b"\0\xff\xff\xff\xff", b"\1\0\0\0\0", b"9" * 9, b"n", b"\xd9\xa3"),
)


def _judge(heard: bytes, pieces: Frames) -> None:
    _check_said(heard.removeprefix(PREFACE), pieces, 4000)


TARGETS = (
    Target("grpc-words", "messages, timeouts, texts and details", _WORDS, _words, _check_words, stream=False, share=2),
    Target("grpc-client", "the calling side of a connection", FRAMES, _answers, _check_client, calls=(20_000, 800)),
    Target("grpc-server", "the answering side of a connection", FRAMES, _requests, _check_server, calls=(20_000, 800)),
    Target(
        "grpc-client-live", "a client with calls in flight", FRAMES, _answers,
        check_of_client(GrpcClient, OPEN_CALLS, _judge), share=1,
        calls=(100_000, 2000),
    ),
    Target(
        "grpc-server-live", "a server with a neighbour", FRAMES, _requests,
        check_of_server(GrpcServer, GrpcClient, _judge), share=1,
        calls=(100_000, 2000),
    ),
)  # fmt: skip
