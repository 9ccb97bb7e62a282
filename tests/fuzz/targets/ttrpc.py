"""ttRPC without I/O: its bodies, its frames, and both sides of a connection.

Well-formed sessions are calls and replies of the captured Kata vectors, beside a small service's. Not for tasks and
streams: `ttrpc_live`.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from actors.schemas.rpcs import RPCS
from tests.fuzz.layout import Body, Field, Frames, Layout
from tests.fuzz.target import Target, expect, outcome_of
from transports.errors import LocalProtocolError, RemoteProtocolError
from transports.ttrpc.codec import (
    DATA,
    HEADER_BYTES,
    MAX_BODY,
    REQUEST,
    RESPONSE,
    DecodeError,
    FrameDecoder,
    decode_request,
    decode_response,
    encode_frame,
    encode_method,
    encode_request,
    encode_response,
    encode_status,
)
from transports.ttrpc.connection import ABSURD_BODY, ClientConnection, ServerConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transports.ttrpc.codec import Frame

__all__ = ["FRAMES", "OPEN_CALLS", "TARGETS", "Vector", "replies", "vectors"]

LENGTH = Field("length", 0, 4, (10, MAX_BODY, ABSURD_BODY))
TOKENS = (
    b"\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x08" + b"\xff" * 11,
    b"\x0b",
    b"\x0c",
    b"\x0a\x00",
    b"\x12\x00",
    b"\x2a\x04\x0a\x01k\x12",
    b"\x0a\x02\xc3\x28",
    b"\x09" + bytes(8),
    b"\x0d" + bytes(4),
)
FRAMES = Layout(
    Body.PROTOBUF,
    header=HEADER_BYTES,
    fields=(LENGTH, Field("stream id", 4, 4, (5, 7)), Field("type", 8, 1, (4,)), Field("flags", 9, 1, (4,))),
    length=LENGTH,
    tokens=TOKENS,
)
# calls that a client has in flight when a session of replies begins; their ids are odd from 1
OPEN_CALLS = 3


class Vector(NamedTuple):
    """One captured call."""

    service: str
    method: str
    request: bytes
    response: bytes


@cache
def vectors() -> Sequence[Vector]:
    """The captured calls of today's API."""
    text = (Path(__file__).parents[2] / "data" / "kata-vectors.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return [
        Vector(
            RPCS[row["rpc"]].service, row["rpc"], bytes.fromhex(row["request_hex"]), bytes.fromhex(row["response_hex"])
        )
        for row in rows
        if row["rpc"] in RPCS
    ]


def _requests() -> Sequence[Frames]:
    echo = encode_method("t.S", "Echo")
    small = tuple(encode_frame(REQUEST, 2 * at + 1, encode_request(echo, b"x" * at, at * 10**9)) for at in range(8))
    data = (*small[:2], encode_frame(DATA, 1, b"", 1), encode_frame(DATA, 5, b"part", 4), small[3])
    known = [encode_request(encode_method(one.service, one.method), one.request, 0) for one in vectors()]
    return [small, data, *_numbered(REQUEST, known)]


def replies() -> Sequence[Frames]:
    """Replies to calls 1, 3 and 5."""
    detail = b"\x0a\x04t/Xy\x12\x02\x0a\x00"
    bodies = [encode_response(b"x"), encode_response(b""), encode_status(5, "no such container", (detail, detail))]
    late = [encode_response(b"late"), encode_status(-1, ""), encode_response(b"y" * 300)]
    known = [encode_response(one.response) for one in vectors()]
    return [*_numbered(RESPONSE, bodies), *_numbered(RESPONSE, bodies + late), *_numbered(RESPONSE, known)]


def _numbered(kind: int, bodies: Sequence[bytes], size: int = 6) -> list[Frames]:
    return [
        tuple(encode_frame(kind, 2 * at + 1, body) for at, body in enumerate(bodies[start : start + size]))
        for start in range(0, len(bodies), size)
    ]


def _bodies() -> Sequence[Frames]:
    return [(frame[HEADER_BYTES:],) for session in (*_requests(), *replies()) for frame in session]


def _check_bodies(pieces: Frames) -> None:
    """A body decodes or is refused, and what stands around it does not matter: frames share one buffer."""
    decoders: tuple[Callable[[bytes, int, int], object], ...] = (decode_request, decode_response)
    for body in pieces:
        for decode in decoders:
            outcomes: list[str] = []
            for before, after in ((b"", b""), (b"\x0a\x7f", b"\xff\xff")):
                try:
                    outcomes.append(outcome_of(decode(before + body + after, len(before), len(before) + len(body))))
                except DecodeError as error:
                    outcomes.append(outcome_of(error.within(len(before))))
            expect(outcomes[0] == outcomes[1], f"{decode.__name__} looks beyond its body: {outcomes}")


def _check_frames(pieces: Frames) -> None:
    """The frames are the same at any chunking, and never more than one is held."""

    def content(frames: list[Frame]) -> list[tuple[int, int, int, int, bytes]]:
        return [(f.kind, f.stream_id, f.flags, f.length, f.buffer[f.start : f.end]) for f in frames]

    cut, whole = FrameDecoder(), FrameDecoder()
    found = [frame for piece in pieces for frame in cut.feed(piece)]
    expect(content(found) == content(whole.feed(b"".join(pieces))), "other frames at another chunking")
    expect(cut.in_frame == whole.in_frame, "another end at another chunking")
    most = sum(map(len, pieces))
    expect(sum(HEADER_BYTES + frame.end - frame.start for frame in found) <= most, "frames of bytes that never came")


def _check_client(pieces: Frames) -> None:
    """Each call has one answer at most, a failure is one and stays, and nothing is taken or sent after it."""
    client, whole = ClientConnection(), ClientConnection()
    for connection in (client, whole):
        for _ in range(OPEN_CALLS):
            connection.send_request("t.S", "Echo", b"")
        connection.data_to_send()
    answers = [reply for piece in pieces for reply in client.receive_data(piece)]
    expect(answers == whole.receive_data(b"".join(pieces)), "other replies at another chunking")
    expect(str(client.failure) == str(whole.failure), "another failure at another chunking")
    ids = [reply.stream_id for reply in answers]
    expect(len(set(ids)) == len(ids) and set(ids) <= {1, 3, 5}, f"replies to {ids}")
    expect(not client.data_to_send(), "it sends where nothing was called")
    if client.failure is None:
        expect(client.open_streams == OPEN_CALLS - len(ids), "a call without a reply is not open")
        expect(client.send_request("t.S", "Echo", b"") == 2 * OPEN_CALLS + 1, "the next call has another id")
        return
    expect(type(client.failure) is RemoteProtocolError, f"failed with {client.failure!r}")
    expect(client.receive_data(replies()[0][0]) == [], "it takes replies after its failure")
    try:
        client.send_request("t.S", "Echo", b"")
    except LocalProtocolError:
        expect(not client.data_to_send(), "it sends after its failure")
    else:
        expect(False, "it calls after its failure")


def _check_server(pieces: Frames) -> None:
    """It never fails, serves no more than it may, and answers no more than it was asked, in frames that are some."""
    server, whole = ServerConnection(2), ServerConnection(2)
    calls = [call for piece in pieces for call in server.receive_data(piece)]
    expect(calls == whole.receive_data(b"".join(pieces)), "other calls at another chunking")
    refusals = server.data_to_send()
    expect(refusals == whole.data_to_send(), "other refusals at another chunking")
    expect(len(calls) == server.calls <= 2, f"{len(calls)} calls are in progress")
    asked = FrameDecoder().feed(b"".join(pieces))
    told = _responses(refusals)
    expect(told + len(calls) <= len(asked), f"{told} refusals of {len(asked)} frames with {len(calls)} calls")
    for at, call in enumerate(calls):
        if at:
            server.send_reply(call.stream_id, call.request.payload)
        else:
            server.send_status(call.stream_id, 2, call.request.method)
    expect((server.calls, server.open_streams) == (0, 0), "something is open after every answer")
    expect(_responses(server.data_to_send()) + server.dropped_replies == len(calls), "a call has not one answer")


def _responses(wire: bytes) -> int:
    """How many responses these bytes are; anything else is wrong."""
    decoder = FrameDecoder()
    frames = decoder.feed(wire)
    for frame in frames:
        expect((frame.kind, frame.flags) == (RESPONSE, 0), f"it sends type {frame.kind} with flags {frame.flags}")
        decode_response(frame.buffer, frame.start, frame.end)
    expect(not decoder.in_frame, "it sends half a frame")
    return len(frames)


TARGETS = (
    Target(
        "ttrpc-bodies",
        "the Request and Response codecs",
        Layout(Body.PROTOBUF, tokens=TOKENS),
        _bodies,
        _check_bodies,
        stream=False,
        share=2,
    ),
    Target("ttrpc-frames", "the frame decoder", FRAMES, lambda: [*_requests(), *replies()], _check_frames, share=6),
    Target("ttrpc-client", "the calling side of a connection", FRAMES, replies, _check_client, share=8),
    Target("ttrpc-server", "the answering side of a connection", FRAMES, _requests, _check_server, share=8),
)
