"""ttRPC's bytes: against protobuf itself, split anywhere, and spoiled."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.message import DecodeError as ProtobufDecodeError
from hypothesis import given
from hypothesis import strategies as st

from transports.calls.connection import Request
from transports.ttrpc.codec import (
    DATA,
    HEADER_BYTES,
    MAX_BODY,
    REQUEST,
    RESPONSE,
    DecodeError,
    Frame,
    FrameDecoder,
    Response,
    decode_request,
    decode_response,
    encode_frame,
    encode_metadata,
    encode_method,
    encode_request,
    encode_response,
    encode_status,
)

_FIELDS = {
    "KeyValue": [("key", 1, Field.TYPE_STRING, ""), ("value", 2, Field.TYPE_STRING, "")],
    "Request": [
        ("service", 1, Field.TYPE_STRING, ""),
        ("method", 2, Field.TYPE_STRING, ""),
        ("payload", 3, Field.TYPE_BYTES, ""),
        ("timeout_nano", 4, Field.TYPE_INT64, ""),
        ("metadata", 5, Field.TYPE_MESSAGE, "KeyValue"),
    ],
    "Any": [("type_url", 1, Field.TYPE_STRING, ""), ("value", 2, Field.TYPE_BYTES, "")],
    "Status": [
        ("code", 1, Field.TYPE_INT32, ""),
        ("message", 2, Field.TYPE_STRING, ""),
        ("details", 3, Field.TYPE_MESSAGE, "Any"),
    ],
    "Response": [("status", 1, Field.TYPE_MESSAGE, "Status"), ("payload", 2, Field.TYPE_BYTES, "")],
}


def _peer_classes() -> dict[str, Any]:
    """The same messages as protobuf itself understands them: the other implementation."""
    file = descriptor_pb2.FileDescriptorProto(name="ttrpc.proto", package="t", syntax="proto3")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            many = field in ("metadata", "details")
            added = message.field.add(name=field, number=number, type=kind)
            added.label = Field.LABEL_REPEATED if many else Field.LABEL_OPTIONAL
            if of:
                added.type_name = f".t.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"t.{name}")) for name in _FIELDS}


PEER = _peer_classes()
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def _decode_request(body: bytes) -> Request:
    return decode_request(b"xx" + body + b"\x0a\x01y", 2, 2 + len(body))


def _decode_response(body: bytes) -> Response:
    return decode_response(b"xx" + body + b"\x12\x01y", 2, 2 + len(body))


@given(TEXT, TEXT, st.binary(max_size=300), st.integers(0, 2**63 - 1), st.lists(st.tuples(TEXT, TEXT), max_size=3))
def test_protobuf_reads_our_requests_and_writes_the_same_bytes(
    service: str, method: str, payload: bytes, nanos: int, metadata: list[tuple[str, str]]
) -> None:
    body = encode_request(encode_method(service, method), payload, nanos, encode_metadata(tuple(metadata)))
    pairs = [PEER["KeyValue"](key=key, value=value) for key, value in metadata]
    peer = PEER["Request"](service=service, method=method, payload=payload, timeout_nano=nanos, metadata=pairs)
    assert body == peer.SerializeToString()
    assert _decode_request(body) == Request(service, method, payload, nanos, tuple(metadata))


@given(st.integers(-(2**63), 2**63 - 1), st.lists(st.tuples(TEXT, TEXT), max_size=5))
def test_we_read_what_protobuf_writes_of_requests(nanos: int, metadata: list[tuple[str, str]]) -> None:
    pairs = [PEER["KeyValue"](key=key, value=value) for key, value in metadata]
    body = PEER["Request"](service="s", payload=b"p" * 300, timeout_nano=nanos, metadata=pairs).SerializeToString()
    assert _decode_request(body) == Request("s", "", b"p" * 300, nanos, tuple(metadata))


@given(st.integers(-(2**31), 2**31 - 1).filter(bool), TEXT)
def test_protobuf_reads_our_failures_and_writes_the_same_bytes(code: int, message: str) -> None:
    body = encode_status(code, message)
    assert body == PEER["Response"](status=PEER["Status"](code=code, message=message)).SerializeToString()
    assert _decode_response(body) == Response(code, message, b"")


@given(st.binary(max_size=300))
def test_protobuf_reads_our_replies_and_writes_the_same_bytes(payload: bytes) -> None:
    body = encode_response(payload)
    assert body == PEER["Response"](payload=payload).SerializeToString()
    assert _decode_response(body) == Response(0, "", payload)


def test_a_reply_without_a_status_with_an_empty_one_and_of_no_bytes_are_all_ok() -> None:
    assert _decode_response(b"") == Response(0, "", b"")
    assert _decode_response(b"\x0a\x00") == Response(0, "", b"")
    assert _decode_response(b"\x0a\x00\x12\x01p") == Response(0, "", b"p")
    assert encode_response(b"") == b""


def test_details_travel_and_a_payload_beside_a_failure_is_kept_apart() -> None:
    details = [PEER["Any"](type_url=url, value=b"v") for url in ("u", "w")]
    status = PEER["Status"](code=5, message="no", details=details)
    encoded = tuple(detail.SerializeToString() for detail in details)
    body = PEER["Response"](status=status, payload=b"p").SerializeToString()
    assert _decode_response(body) == Response(5, "no", b"p", encoded)
    assert encode_status(5, "no", encoded) == PEER["Response"](status=status).SerializeToString()


def test_of_details_without_end_the_first_eight_are_kept() -> None:
    body = encode_status(5, "no", tuple(b"\x0a\x01%d" % (number % 10) for number in range(1000)))
    assert len(_decode_response(body).details) == 8


def test_unknown_fields_of_every_wire_type_are_skipped() -> None:
    unknown = b"\xf8\x01\x96\x01" + b"\xfa\x01\x03abc" + b"\xf9\x01" + bytes(8) + b"\xfd\x01" + bytes(4)
    assert _decode_request(unknown + b"\x0a\x01s" + unknown).service == "s"
    # a known number with another wire type is an unknown field too
    assert _decode_request(b"\x08\x01\x0a\x01s").service == "s"


def test_the_last_of_a_repeated_scalar_counts_and_a_repeated_status_merges() -> None:
    assert _decode_request(b"\x1a\x01a\x1a\x01b").payload == b"b"
    assert _decode_response(b"\x0a\x02\x08\x05\x0a\x03\x12\x01m") == Response(5, "m", b"")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"\x0a", "truncated"),
        (b"\x0a\x05abc", "truncated"),
        (b"\x0a\xff\xff\xff\xff\x0f", "truncated"),
        (b"\x20" + b"\xff" * 10 + b"\x01", "over 10 bytes"),
        (b"\x20\x80", "truncated"),
        (b"\x80", "truncated"),
        (b"\x01\x00", "out of range"),
        (b"\x0b\x0c", "not proto3"),
        (b"\x0a\x01\xff", "not UTF-8"),
        (b"\xf9\x01\x00", "truncated"),
        (b"\x2a\x02\x0a\x05", "truncated"),
        (b"\x2a\x00" * 257, "256 metadata"),
    ],
)
def test_a_spoiled_request_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        _decode_request(body)


PIECES = st.lists(
    st.sampled_from([b"\x0a", b"\x12", b"\x08", b"\x02", b"\x1a", b"\x20", b"\xff"]) | st.binary(max_size=4)
)


@given(PIECES.map(b"".join))
def test_whatever_bytes_come_we_read_what_protobuf_reads_or_refuse_too(body: bytes) -> None:
    try:
        peer = PEER["Response"].FromString(body)
    except ProtobufDecodeError:
        peer = None
    refusal = ""
    ours = Response(0, "", b"")
    try:
        ours = _decode_response(body)
    except DecodeError as error:
        refusal = str(error)
    if peer is not None:
        # groups are proto2: protobuf still skips them, we refuse
        read = ours._replace(details=())
        assert "not proto3" in refusal or read == Response(peer.status.code, peer.status.message, peer.payload)
        assert not refusal or "not proto3" in refusal


def test_a_failure_s_long_text_is_cut_at_a_character() -> None:
    response = _decode_response(encode_status(13, "é" * 1_000_000))
    assert response.code == 13
    assert set(response.message) == {"é"}
    assert len(response.message.encode()) == 64 * 1024
    assert _decode_response(encode_status(13, "a\ud800b")).message == "a?b"


FRAMES = [(REQUEST, 1, 0, b"first"), (RESPONSE, 2**32 - 1, 0xFF, b""), (DATA, 3, 5, b"x" * 300), (9, 5, 0, b"?")]
WIRE = b"".join(encode_frame(kind, stream_id, body, flags) for kind, stream_id, flags, body in FRAMES)


def _content(frames: list[Frame]) -> list[tuple[int, int, int, bytes]]:
    return [(f.kind, f.stream_id, f.flags, f.buffer[f.start : f.end]) for f in frames]


def test_the_header_is_ten_bytes_big_endian() -> None:
    assert encode_frame(REQUEST, 0x01020304, b"ab", 5) == bytes.fromhex("00000002 01020304 01 05") + b"ab"
    assert len(WIRE) == sum(HEADER_BYTES + len(body) for *_, body in FRAMES)


@pytest.mark.parametrize("split", range(len(WIRE) + 1))
def test_frames_may_be_split_at_every_offset(split: int) -> None:
    decoder = FrameDecoder()
    frames = decoder.feed(WIRE[:split]) + decoder.feed(WIRE[split:])
    assert _content(frames) == FRAMES
    assert not decoder.in_frame


@given(st.lists(st.integers(1, 40)))
def test_frames_may_be_split_into_any_pieces(sizes: list[int]) -> None:
    decoder = FrameDecoder()
    frames: list[Frame] = []
    position = 0
    for size in [*sizes, len(WIRE)]:
        frames += decoder.feed(WIRE[position : position + size])
        position += size
    assert _content(frames) == FRAMES


@pytest.mark.parametrize("step", [4096, 65536, 10_000_000])
def test_a_body_of_4_mib_passes_and_one_byte_more_is_dropped_unread(step: int) -> None:
    oversize = (MAX_BODY + 1).to_bytes(4) + b"\0\0\0\3\1\0" + bytes(MAX_BODY + 1)
    wire = encode_frame(REQUEST, 1, bytes(MAX_BODY)) + oversize + encode_frame(REQUEST, 5, b"next")
    decoder = FrameDecoder()
    frames = [frame for start in range(0, len(wire), step) for frame in decoder.feed(wire[start : start + step])]
    assert [(frame.stream_id, frame.length, frame.oversize, frame.end - frame.start) for frame in frames] == [
        (1, MAX_BODY, False, MAX_BODY),
        (3, MAX_BODY + 1, True, 0),
        (5, 4, False, 4),
    ]
    assert not decoder.in_frame


def test_an_oversize_frame_is_told_before_its_body_and_holds_no_memory() -> None:
    decoder = FrameDecoder()
    (frame,) = decoder.feed(b"\xff\xff\xff\xff" + b"\0\0\0\1\1\0")
    assert frame.oversize
    assert frame.length == 2**32 - 1
    for _ in range(100):
        assert decoder.feed(bytes(65536)) == []
    assert len(decoder._partial) == 0  # what is held is the point


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_what_a_frame_lacks_is_told_at_every_byte(first: bytes, second: bytes) -> None:
    decoder = FrameDecoder()
    for body in (first, second):
        frame = encode_frame(REQUEST, 1, body)
        for number in range(len(frame)):
            whole = len(frame) if number >= HEADER_BYTES else HEADER_BYTES
            assert decoder.lacking == (whole - number if number else 0)
            assert decoder.in_frame is (number > 0)
            assert len(decoder.feed(frame[number : number + 1])) == (number == len(frame) - 1)
