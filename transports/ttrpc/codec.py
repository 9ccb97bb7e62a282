"""ttRPC's bytes: frames, and the three messages that they carry. Sans-I/O, and no protobuf library.

A frame, all big-endian:

    | body length u32 | stream id u32 | type u8 | flags u8 | body |

Type 1 request, 2 response, 3 data; flag 1 remote-closed, 2 remote-open, 4 no-data. A body has at most 4 MiB.
Request{service=1 method=2 payload=3 timeout_nano=4 metadata=5{key=1 value=2}};
Response{status=1{code=1 message=2 details=3} payload=2}. `details` are google.protobuf.Any, and stay bytes here.
Not for what may follow what: that is `connection`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from transports.calls.connection import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "DATA",
    "HEADER_BYTES",
    "MAX_BODY",
    "REQUEST",
    "RESPONSE",
    "DecodeError",
    "Frame",
    "FrameDecoder",
    "Response",
    "decode_request",
    "decode_response",
    "encode_frame",
    "encode_method",
    "encode_request",
    "encode_response",
    "encode_status",
]

MAX_BODY = 4 * 1024 * 1024
REQUEST, RESPONSE, DATA = 1, 2, 3

_HEADER = struct.Struct(">IIBB")
HEADER_BYTES = _HEADER.size
_unpack_header = _HEADER.unpack_from
_pack_header = _HEADER.pack

# an agent's chain of causes is a few KiB; a longer text is cut, for a reply must fit into one frame
STATUS_MESSAGE_BYTES = 64 * 1024
# a peer's header lines; Kata's client sends two of them, and only when it traces
METADATA_ENTRIES = 256
# one is what our guest sends; a peer that sends more is read no further
STATUS_DETAILS = 8

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIGN_BIT, _TWO_TO_64 = 1 << 63, 1 << 64


class DecodeError(ValueError):
    """A body that is not the message it should be; the text says what is wrong, and at which of its bytes.

    `at` counts from the start of the buffer; whoever knows where the body starts says so with `within`.
    """

    def __init__(self, why: str, at: int) -> None:
        super().__init__(f"{why} at byte {at}")
        self.why = why
        self.at = at

    def within(self, start: int) -> DecodeError:
        """The same, counted from `start`: where a body lies in its buffer is chance, and nobody's business."""
        return DecodeError(self.why, self.at - start)


class Frame(NamedTuple):
    """One frame. Its body is `buffer[start:end]`, and is not copied; empty and `oversize` when over `MAX_BODY`."""

    kind: int
    stream_id: int
    flags: int
    length: int
    buffer: bytes
    start: int
    end: int

    @property
    def oversize(self) -> bool:
        """The announced length is over the limit; the body was dropped unread."""
        return self.length > MAX_BODY


class Response(NamedTuple):
    """A decoded Response; an absent status and code 0 are the same. Of the details the first 8 are kept, undecoded."""

    code: int
    message: str
    payload: bytes
    details: tuple[bytes, ...] = ()


class FrameDecoder:
    """Cuts a byte stream into frames. Holds at most one incomplete frame, never an oversize one."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._needed = HEADER_BYTES
        self._skip = 0

    @property
    def in_frame(self) -> bool:
        """The bytes so far end within a frame."""
        return bool(self._partial or self._skip)

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes, split anywhere; return the frames that they complete.

        An oversize frame is returned as soon as its header is there.
        """
        frames: list[Frame] = []
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if self._partial:
            self._partial += data
            if len(self._partial) < self._needed:
                return frames
            data = bytes(self._partial)
            self._partial.clear()
        position, size = 0, len(data)
        self._needed = HEADER_BYTES
        while size - position >= HEADER_BYTES:
            length, stream_id, kind, flags = _unpack_header(data, position)
            start = position + HEADER_BYTES
            end = start + length
            if length > MAX_BODY:
                frames.append(Frame(kind, stream_id, flags, length, b"", 0, 0))
                self._skip = max(0, end - size)
                position = min(end, size)
            elif end > size:
                self._needed = HEADER_BYTES + length
                break
            else:
                frames.append(Frame(kind, stream_id, flags, length, data, start, end))
                position = end
        if position < size:
            self._partial += data[position:]
        return frames


def encode_frame(kind: int, stream_id: int, body: bytes, flags: int = 0) -> bytes:
    """One frame. The caller has checked `len(body) <= MAX_BODY`."""
    return _pack_header(len(body), stream_id, kind, flags) + body


def encode_method(service: str, method: str) -> bytes:
    """The first two fields of a Request: the same for every call of a method, so worth keeping."""
    return _string_field(0x0A, service) + _string_field(0x12, method)


def encode_request(method: bytes, payload: bytes, timeout_nano: int) -> bytes:
    """A Request body; `method` comes from `encode_method`, `timeout_nano` is not negative."""
    body = method + b"\x1a" + _varint(len(payload)) + payload if payload else method
    return body + b"\x20" + _varint(timeout_nano) if timeout_nano else body


def encode_response(payload: bytes) -> bytes:
    """An OK Response body, without a status as Go writes it; empty for an empty payload."""
    return b"\x12" + _varint(len(payload)) + payload if payload else b""


def encode_status(code: int, message: str, details: tuple[bytes, ...] = ()) -> bytes:
    """A Response body that says no; a message over 64 KiB is cut. `details` are encoded google.protobuf.Any."""
    text = message.encode(errors="replace")
    if len(text) > STATUS_MESSAGE_BYTES:
        text = text[:STATUS_MESSAGE_BYTES].decode(errors="ignore").encode()
    status = b"\x08" + _varint(code % _TWO_TO_64)
    if text:
        status += b"\x12" + _varint(len(text)) + text
    for detail in details:
        status += b"\x1a" + _varint(len(detail)) + detail
    return b"\x0a" + _varint(len(status)) + status


def decode_request(buffer: bytes, start: int, end: int) -> Request:
    """Decode the Request in `buffer[start:end]`.

    Raises:
        DecodeError: truncated, a group, not UTF-8, or over 256 metadata entries.
    """
    service = method = ""
    payload = b""
    timeout_nano = 0
    metadata: list[tuple[str, str]] = []
    for tag, value, at in _fields(buffer, start, end):
        if tag == 0x1A:
            payload = buffer[value:at]
        elif tag == 0x0A:
            service = _text(buffer, value, at)
        elif tag == 0x12:
            method = _text(buffer, value, at)
        elif tag == 0x20:
            timeout_nano = _signed(value)
        elif tag == 0x2A:
            if len(metadata) == METADATA_ENTRIES:
                raise DecodeError(f"over {METADATA_ENTRIES} metadata entries", value)
            metadata.append(_key_value(buffer, value, at))
    return Request(service, method, payload, timeout_nano, tuple(metadata))


def decode_response(buffer: bytes, start: int, end: int) -> Response:
    """Decode the Response in `buffer[start:end]`.

    Raises:
        DecodeError: truncated, a group, or not UTF-8.
    """
    code = 0
    message = ""
    payload = b""
    details: tuple[bytes, ...] = ()
    for tag, value, at in _fields(buffer, start, end):
        if tag == 0x12:
            payload = buffer[value:at]
        elif tag == 0x0A:
            # a repeated status merges into the one before, as protobuf has it
            for inner, inner_value, inner_at in _fields(buffer, value, at):
                if inner == 0x08:
                    code = _int32(inner_value)
                elif inner == 0x12:
                    message = _text(buffer, inner_value, inner_at)
                elif inner == 0x1A and len(details) < STATUS_DETAILS:
                    details = (*details, buffer[inner_value:inner_at])
    return Response(code, message, payload, details)


def _key_value(buffer: bytes, start: int, end: int) -> tuple[str, str]:
    key = text = ""
    for tag, value, at in _fields(buffer, start, end):
        if tag == 0x0A:
            key = _text(buffer, value, at)
        elif tag == 0x12:
            text = _text(buffer, value, at)
    return key, text


def _fields(buffer: bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (tag, value, position after it); for bytes, value is where they start. Fixed-size values are skipped."""
    while position < end:
        tag = buffer[position]
        position += 1
        if tag > 0x7F:
            tag, position = _read_varint(buffer, position - 1, end)
        wire_type = tag & 7
        if tag < 8 or tag >> 32:
            raise DecodeError("field number out of range", position)
        if wire_type in (_BYTES, _VARINT):
            if position < end and buffer[position] < 0x80:
                value = buffer[position]
                position += 1
            else:
                value, position = _read_varint(buffer, position, end)
            if wire_type == _VARINT:
                yield tag, value, position
                continue
            start = position
            position += value
            if position > end:
                raise DecodeError(f"a field of {value} bytes is truncated", start)
            yield tag, start, position
        elif wire_type in (_FIXED64, _FIXED32):
            position += 8 if wire_type == _FIXED64 else 4
            if position > end:
                raise DecodeError("a fixed-size field is truncated", end)
        else:
            raise DecodeError(f"wire type {wire_type} is not proto3", position)


def _read_varint(buffer: bytes, position: int, end: int) -> tuple[int, int]:
    result = shift = 0
    while position < end:
        byte = buffer[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result % _TWO_TO_64, position
        shift += 7
        if shift > 63:
            raise DecodeError("a varint is over 10 bytes", position)
    raise DecodeError("a varint is truncated", end)


def _varint(value: int) -> bytes:
    if value < 0x80:
        return _ONE_BYTE[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_ONE_BYTE = tuple(bytes((value,)) for value in range(0x80))


def _string_field(tag: int, text: str) -> bytes:
    data = text.encode()
    return bytes((tag,)) + _varint(len(data)) + data if data else b""


def _text(buffer: bytes, start: int, end: int) -> str:
    try:
        return buffer[start:end].decode()
    except UnicodeDecodeError as error:
        raise DecodeError("a string is not UTF-8", start) from error


def _signed(value: int) -> int:
    return value - _TWO_TO_64 if value & _SIGN_BIT else value


def _int32(value: int) -> int:
    # protobuf truncates a wider varint to its low 32 bits
    low = value & 0xFFFFFFFF
    return low - (1 << 32) if low & (1 << 31) else low
