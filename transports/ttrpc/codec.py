"""ttRPC encoding: frames, and the three messages that they carry. Sans-I/O, and no protobuf library.

A frame, all big-endian:

    | body length u32 | stream id u32 | type u8 | flags u8 | body |

Type 1 request, 2 response, 3 data; flag 1 remote-closed, 2 remote-open, 4 no-data. A body has at most 4 MiB.
Request{service=1 method=2 payload=3 timeout_nano=4 metadata=5{key=1 value=2}}; Response{status=1{code=1 message=2
details=3} payload=2}. `details` are google.protobuf.Any, and stay bytes here. Protocol state is in `connection`.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from transports.calls.connection import Request
from transports.calls.protobuf import (
    TWO_TO_64,
    DecodeError,
    RpcStatus,
    decode_rpc_status,
    encode_rpc_status,
    fields,
    string_field,
    text,
    varint,
)

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
    "encode_metadata",
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

# a peer's metadata entries; Kata's client sends two, and only when tracing
METADATA_ENTRIES = 256

_SIGN_BIT = 1 << 63


class Frame(NamedTuple):
    """One frame. Its body is `buffer[start:end]`, not copied; if over `MAX_BODY`, empty and `oversize`."""

    kind: int
    stream_id: int
    flags: int
    length: int
    buffer: bytes
    start: int
    end: int

    @property
    def oversize(self) -> bool:
        """The announced length is over the limit; the body was discarded unread."""
        return self.length > MAX_BODY


class Response(NamedTuple):
    """A decoded Response; an absent status equals code 0. Only the first 8 details are kept, undecoded."""

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
        """A partly received frame is held."""
        return bool(self._partial or self._skip)

    @property
    def held(self) -> int:
        """Bytes held of an incomplete frame."""
        return len(self._partial)

    @property
    def announced(self) -> int | None:
        """The stream id of the incomplete frame; None while its header is incomplete, or if nothing of it is kept."""
        return _unpack_header(self._partial)[1] if len(self._partial) >= HEADER_BYTES else None

    @property
    def lacking(self) -> int:
        """Bytes still missing from the partly received frame; a lower bound while its header is incomplete."""
        return self._skip or (self._needed - len(self._partial) if self._partial else 0)

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes, split at any point; return the frames that they complete.

        An oversize frame is returned as soon as its header is complete.
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
    """The first two fields of a Request: constant per method, so worth caching."""
    return string_field(0x0A, service) + string_field(0x12, method)


def encode_metadata(entries: tuple[tuple[str, str], ...]) -> bytes:
    """The last field of a Request: constant per client, so worth caching."""
    pairs = (string_field(0x0A, key) + string_field(0x12, value) for key, value in entries)
    return b"".join(b"\x2a" + varint(len(pair)) + pair for pair in pairs)


def encode_request(method: bytes, payload: bytes, timeout_nano: int, metadata: bytes = b"") -> bytes:
    """A Request body; `method` and `metadata` come from `encode_method` and `encode_metadata`, `timeout_nano` is non-negative."""
    body = method + b"\x1a" + varint(len(payload)) + payload if payload else method
    return (body + b"\x20" + varint(timeout_nano) if timeout_nano else body) + metadata


def encode_response(payload: bytes) -> bytes:
    """An OK Response body, without a status, as Go writes it; empty for an empty payload."""
    return b"\x12" + varint(len(payload)) + payload if payload else b""


def encode_status(code: int, message: str, details: tuple[bytes, ...] = ()) -> bytes:
    """An error Response body; a message over 64 KiB is truncated. `details` are encoded google.protobuf.Any."""
    status = encode_rpc_status(code, message, details)
    return b"\x0a" + varint(len(status)) + status


def decode_request(buffer: bytes, start: int, end: int) -> Request:
    """Decode the Request in `buffer[start:end]`.

    Raises:
        DecodeError: truncated, a group, not UTF-8, or over 256 metadata entries.
    """
    service = method = ""
    payload = b""
    timeout_nano = 0
    metadata: list[tuple[str, str]] = []
    for tag, value, at in fields(buffer, start, end):
        if tag == 0x1A:
            payload = buffer[value:at]
        elif tag == 0x0A:
            service = text(buffer, value, at)
        elif tag == 0x12:
            method = text(buffer, value, at)
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
    for tag, value, at in fields(buffer, start, end):
        if tag == 0x12:
            payload = buffer[value:at]
        elif tag == 0x0A:
            # a repeated status merges into the previous one, as protobuf requires
            code, message, details = decode_rpc_status(buffer, value, at, RpcStatus(code, message, details))
    return Response(code, message, payload, details)


def _key_value(buffer: bytes, start: int, end: int) -> tuple[str, str]:
    key = word = ""
    for tag, value, at in fields(buffer, start, end):
        if tag == 0x0A:
            key = text(buffer, value, at)
        elif tag == 0x12:
            word = text(buffer, value, at)
    return key, word


def _signed(value: int) -> int:
    return value - TWO_TO_64 if value & _SIGN_BIT else value
