"""gRPC's own encodings: message prefix, timeouts, percent-encoded text, status details, and mapping of HTTP errors.

Sans-I/O. After gRPC's "HTTP2" protocol description; lenient in what it reads, strict in what it writes.
HTTP/2 frames and headers are in `http2`.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from typing import TYPE_CHECKING

from transports.calls.protobuf import DecodeError, RpcStatus, decode_rpc_status, encode_rpc_status
from transports.errors import StatusCode

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MAX_MESSAGE",
    "MessageError",
    "MessageReader",
    "decode_details",
    "decode_text",
    "decode_timeout",
    "encode_details",
    "encode_message",
    "encode_text",
    "encode_timeout",
    "status_of_http",
    "status_of_reset",
]

# ttRPC's limit, and the default of every gRPC library
MAX_MESSAGE = 4 * 1024 * 1024
# grpcio drops a header list over 8 KiB, which must hold the text, the details and the other trailers
TEXT_BYTES = 3 * 1024
DETAILS_BYTES = 3 * 1024

_PREFIX = struct.Struct(">BI")
PREFIX_BYTES = _PREFIX.size

_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNITS = ((b"n", 1), (b"u", 10**3), (b"m", 10**6), (b"S", 10**9), (b"M", 60 * 10**9), (b"H", 3600 * 10**9))
_NANOS = dict(_UNITS)
_MOST = 99_999_999

_PLAIN = frozenset(range(0x20, 0x7F)) - {0x25}
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")

_HTTP: Mapping[int, StatusCode] = {
    400: StatusCode.INTERNAL,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.UNIMPLEMENTED,
    429: StatusCode.UNAVAILABLE,
    502: StatusCode.UNAVAILABLE,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.UNAVAILABLE,
}
# by HTTP/2 error code; all others are INTERNAL
_RESET: Mapping[int, StatusCode] = {
    0x7: StatusCode.UNAVAILABLE,
    0x8: StatusCode.CANCELLED,
    0xB: StatusCode.RESOURCE_EXHAUSTED,
    0xC: StatusCode.PERMISSION_DENIED,
}


class MessageError(ValueError):
    """A message that is rejected; `code` is the call's status for it."""

    def __init__(self, code: StatusCode, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


def encode_message(payload: bytes) -> bytes:
    """Add the prefix: uncompressed, and the length. The caller has checked the size."""
    return _PREFIX.pack(0, len(payload)) + payload


class MessageReader:
    """Reads the one message of a unary call, in pieces. Buffers nothing of an oversize one.

    Args:
        unreadable: the call's status for a compressed message, or more than one. A server reports that it does not support
        that; a client must not report it as if the server had said so.
    """

    def __init__(self, *, unreadable: StatusCode = StatusCode.UNIMPLEMENTED) -> None:
        self._unreadable = unreadable
        self._bytes = bytearray()
        self._length: int | None = None

    @property
    def held(self) -> int:
        """Bytes kept so far."""
        return len(self._bytes)

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises: MessageError."""
        while data:
            wanted = PREFIX_BYTES if self._length is None else PREFIX_BYTES + self._length
            piece = data[: wanted - len(self._bytes)]
            if not piece:
                raise MessageError(self._unreadable, "a unary call carries one message, and a second one began")
            self._bytes += piece
            data = data[len(piece) :]
            if self._length is None and len(self._bytes) == PREFIX_BYTES:
                compressed, length = _PREFIX.unpack(self._bytes)
                if compressed:
                    raise MessageError(self._unreadable, "the message is compressed; send it as it is")
                if length > MAX_MESSAGE:
                    raise MessageError(
                        StatusCode.RESOURCE_EXHAUSTED, f"a message of {length} bytes; {MAX_MESSAGE} is the most"
                    )
                self._length = length

    def finish(self) -> bytes:
        """The message's bytes, at the end of the stream. Raises: MessageError."""
        if self._length is None or len(self._bytes) < PREFIX_BYTES + self._length:
            what = "no message" if not self._bytes else f"a message that breaks off after {len(self._bytes)} bytes"
            raise MessageError(StatusCode.INTERNAL, f"the call carries {what}")
        return bytes(memoryview(self._bytes)[PREFIX_BYTES:])


def encode_timeout(nanos: int) -> bytes:
    """The shortest unit in which it fits eight digits, rounded up: the caller's own clock enforces it in any case."""
    for unit, size in _UNITS:
        value = -(-nanos // size)
        if value <= _MOST:
            return b"%d%s" % (value, unit)
    return b"%d%s" % (_MOST, b"H")


def decode_timeout(value: bytes) -> int:
    """In nanoseconds. Raises: ValueError if malformed."""
    found = _TIMEOUT.fullmatch(value)
    if found is None:
        raise ValueError(f"grpc-timeout {value[:40]!r}: expected up to eight digits and one of H M S m u n")
    return int(found[1]) * _NANOS[found[2]]


def encode_text(text: str) -> bytes:
    """Percent-encoded, as grpc-message wants it; at most 3 KiB."""
    out = bytearray()
    for character in text:
        piece = b"".join(
            bytes((byte,)) if byte in _PLAIN else b"%%%02X" % byte for byte in character.encode(errors="replace")
        )
        if len(out) + len(piece) > TEXT_BYTES:
            break
        out += piece
    return bytes(out)


def decode_text(value: bytes) -> str:
    """Invalid escapes are kept as they are: an undecodable text must not hide the failure."""
    return _ESCAPED.sub(lambda found: bytes((int(found[1], 16),)), value).decode(errors="replace")


def encode_details(code: int, message: str, details: tuple[bytes, ...]) -> bytes | None:
    """For grpc-status-details-bin; None if there are none, or they are too large."""
    if not details:
        return None
    # the text has its own header; in full here it would have to fit twice
    status = encode_rpc_status(code, message[:256], details)
    return base64.b64encode(status).rstrip(b"=") if len(status) <= DETAILS_BYTES else None


def decode_details(value: bytes) -> tuple[bytes, ...]:
    """Undecodable details count as none. Accepts base64 with or without padding, as gRPC requires."""
    try:
        data = base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
        status: RpcStatus = decode_rpc_status(data, 0, len(data))
    except (binascii.Error, DecodeError):
        return ()
    return status.details


def status_of_http(status: int) -> StatusCode:
    """For a reply that is not gRPC's: from a proxy, or not a gRPC server at all."""
    return _HTTP.get(status, StatusCode.UNKNOWN)


def status_of_reset(error_code: int) -> StatusCode:
    """For a stream that the peer reset. UNAVAILABLE: the peer says that it has not processed the call."""
    return _RESET.get(error_code, StatusCode.INTERNAL)
