"""ttRPC against bytes that nobody meant: only declared errors escape, and what is held stays bounded.

Three kinds of bytes: any at all, frames with any fields, and valid frames that were mutated where it hurts (lengths,
ids, types, tags, varints). All at any chunking.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from transports.errors import RemoteProtocolError
from transports.ttrpc.codec import (
    HEADER_BYTES,
    MAX_BODY,
    REQUEST,
    RESPONSE,
    DecodeError,
    Frame,
    FrameDecoder,
    decode_request,
    decode_response,
    encode_frame,
    encode_method,
    encode_request,
    encode_response,
    encode_status,
)
from transports.ttrpc.connection import ClientConnection, ServerConnection

if TYPE_CHECKING:
    from collections.abc import Callable

METHOD = encode_method("t.S", "Echo")
U32 = st.one_of(
    st.integers(0, 12), st.sampled_from([MAX_BODY, MAX_BODY + 1, 2**31 - 1, 2**32 - 1]), st.integers(0, 2**32 - 1)
)
BODIES = st.one_of(
    st.binary(max_size=60),
    st.builds(encode_request, st.just(METHOD), st.binary(max_size=20), st.integers(0, 2**63 - 1)),
    st.builds(encode_response, st.binary(max_size=20)),
    st.builds(encode_status, st.integers(-(2**31), 2**31 - 1), st.text(max_size=20)),
)
FRAMES = st.builds(encode_frame, st.one_of(st.integers(1, 3), st.integers(0, 255)), U32, BODIES, st.integers(0, 255))


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """A valid frame with one thing wrong."""
    body = bytearray(draw(BODIES))
    kind = draw(st.sampled_from([REQUEST, RESPONSE]))
    stream_id = draw(st.sampled_from([1, 3, 5]))
    length = len(body)
    match draw(
        st.sampled_from(["flip", "insert", "delete", "cut", "length", "id", "kind", "varint", "nest", "repeat"])
    ):
        case "flip" if body:
            body[draw(st.integers(0, length - 1))] ^= 1 << draw(st.integers(0, 7))
        case "insert":
            at = draw(st.integers(0, length))
            body[at:at] = draw(st.binary(min_size=1, max_size=4))
        case "delete" if body:
            del body[draw(st.integers(0, length - 1))]
        case "cut":
            # the length stays: the next frame's bytes become this one's
            del body[draw(st.integers(0, length)) :]
            return struct.pack(">IIBB", length, stream_id, kind, 0) + bytes(body)
        case "length":
            return struct.pack(">IIBB", draw(U32), stream_id, kind, 0) + bytes(body)
        case "id":
            stream_id = draw(U32)
        case "kind":
            kind = draw(st.integers(0, 255))
        case "varint":
            body += draw(st.sampled_from([b"\x20", b"\x08"])) + b"\xff" * draw(st.integers(1, 12)) + b"\x01"
        case "nest":
            body = bytearray(b"\x0a" + bytes((min(length, 127),)) + body)
        case _:
            body *= 2
    return encode_frame(kind, stream_id, bytes(body), draw(st.integers(0, 7)))


WIRE = st.one_of(
    st.binary(max_size=200), st.lists(FRAMES, max_size=6).map(b"".join), st.lists(_mutated(), max_size=6).map(b"".join)
)


@st.composite
def _pieces(draw: st.DrawFn) -> list[bytes]:
    wire = draw(WIRE)
    cuts = sorted(draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    return [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]


@given(st.one_of(BODIES, WIRE))
def test_a_body_decodes_or_is_refused_and_within_its_bounds_alone(body: bytes) -> None:
    decoders: list[Callable[[bytes, int, int], object]] = [decode_request, decode_response]
    for decode in decoders:
        # what stands around a body must not matter: frames share one buffer
        outcomes: list[object] = []
        for before, after in ((b"", b""), (b"\x0a\x7f", b"\xff\xff")):
            try:
                outcomes.append(decode(before + body + after, len(before), len(before) + len(body)))
            except DecodeError as error:
                outcomes.append(str(error.within(len(before))))
        assert outcomes[0] == outcomes[1]


@given(_pieces())
def test_frames_are_the_same_at_any_chunking_and_no_more_than_one_is_held(pieces: list[bytes]) -> None:
    def content(frames: list[Frame]) -> list[tuple[int, int, int, int, bytes]]:
        return [(f.kind, f.stream_id, f.flags, f.length, f.buffer[f.start : f.end]) for f in frames]

    cut = FrameDecoder()
    found = [frame for piece in pieces for frame in cut.feed(piece)]
    whole = FrameDecoder()
    assert content(found) == content(whole.feed(b"".join(pieces)))
    assert cut.in_frame == whole.in_frame
    assert sum(HEADER_BYTES + frame.end - frame.start for frame in found) <= sum(map(len, pieces))


@given(_pieces())
def test_a_client_connection_gives_each_call_one_answer_or_fails_once(pieces: list[bytes]) -> None:
    client, whole = ClientConnection(), ClientConnection()
    for connection in (client, whole):
        for _ in range(3):
            connection.send_request("t.S", "Echo", b"")
    replies = [reply for piece in pieces for reply in client.receive_data(piece)]
    assert replies == whole.receive_data(b"".join(pieces))
    ids = [reply.stream_id for reply in replies]
    assert len(set(ids)) == len(ids)
    assert set(ids) <= {1, 3, 5}
    assert client.failure is None or isinstance(client.failure, RemoteProtocolError)
    assert str(client.failure) == str(whole.failure)
    if client.failure is None:
        assert client.open_streams == 3 - len(ids)
        # and it goes on: the next call has the next id
        assert client.send_request("t.S", "Echo", b"") == 7


@given(_pieces())
def test_a_server_connection_never_fails_and_answers_no_more_than_it_was_asked(pieces: list[bytes]) -> None:
    server, whole = ServerConnection(2), ServerConnection(2)
    calls = [call for piece in pieces for call in server.receive_data(piece)]
    assert calls == whole.receive_data(b"".join(pieces))
    assert server.data_to_send() == (refusals := whole.data_to_send())
    assert len(calls) == server.calls <= 2
    asked = FrameDecoder().feed(b"".join(pieces))
    assert len(FrameDecoder().feed(refusals)) + len(calls) <= len(asked)
    for call in calls:
        server.send_reply(call.stream_id, b"")
    assert (server.calls, server.open_streams) == (0, 0)


@given(st.lists(FRAMES, min_size=1, max_size=4).map(b"".join), st.data())
def test_what_a_connection_sends_is_frames_whatever_it_received(wire: bytes, data: st.DataObject) -> None:
    server = ServerConnection(3)
    calls = server.receive_data(wire)
    for call in calls:
        if data.draw(st.booleans()):
            server.send_reply(call.stream_id, data.draw(st.binary(max_size=9)))
        else:
            server.send_status(call.stream_id, data.draw(st.integers(1, 16)), data.draw(st.text(max_size=9)))
    decoder = FrameDecoder()
    for frame in decoder.feed(server.data_to_send()):
        assert (frame.kind, frame.flags) == (RESPONSE, 0)
        decode_response(frame.buffer, frame.start, frame.end)
    assert not decoder.in_frame
