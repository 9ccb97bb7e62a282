"""The little protobuf that a connection must read and write itself: fields, and the status of a failed call.

Written without a protobuf library, so that an untrusted peer's envelope is parsed within our own bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "TWO_TO_64",
    "DecodeError",
    "RpcStatus",
    "decode_rpc_status",
    "encode_rpc_status",
    "fields",
    "int32",
    "string_field",
    "text",
    "varint",
]

# an agent's error chain is a few KiB; longer text is truncated, as a reply must fit into one frame
STATUS_MESSAGE_BYTES = 64 * 1024
# our guest sends one; more than this are ignored
STATUS_DETAILS = 8

TWO_TO_64 = 1 << 64
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class DecodeError(ValueError):
    """A body that is not the expected message; the text says what is wrong, and at which byte.

    `at` counts from the start of the buffer; `within` rebases it to where the body starts.
    """

    def __init__(self, why: str, at: int) -> None:
        super().__init__(f"{why} at byte {at}")
        self.why = why
        self.at = at

    def within(self, start: int) -> DecodeError:
        """The same, relative to `start`: a body's position in its buffer means nothing to a reader."""
        return DecodeError(self.why, self.at - start)


class RpcStatus(NamedTuple):
    """google.rpc.Status: `details` are encoded google.protobuf.Any; only the first 8 are kept, undecoded."""

    code: int = 0
    message: str = ""
    details: tuple[bytes, ...] = ()


def encode_rpc_status(code: int, message: str, details: tuple[bytes, ...] = ()) -> bytes:
    """google.rpc.Status{code=1 message=2 details=3}; a message over 64 KiB is truncated."""
    words = message.encode(errors="replace")
    if len(words) > STATUS_MESSAGE_BYTES:
        words = words[:STATUS_MESSAGE_BYTES].decode(errors="ignore").encode()
    status = b"\x08" + varint(code % TWO_TO_64)
    if words:
        status += b"\x12" + varint(len(words)) + words
    for detail in details:
        status += b"\x1a" + varint(len(detail)) + detail
    return status


def decode_rpc_status(buffer: bytes, start: int, end: int, before: RpcStatus | None = None) -> RpcStatus:
    """The google.rpc.Status in `buffer[start:end]`, merged into the one `before`.

    Raises:
        DecodeError: truncated, a group, or not UTF-8.
    """
    code, message, details = before or RpcStatus()
    for tag, value, at in fields(buffer, start, end):
        if tag == 0x08:
            code = int32(value)
        elif tag == 0x12:
            message = text(buffer, value, at)
        elif tag == 0x1A and len(details) < STATUS_DETAILS:
            details = (*details, buffer[value:at])
    return RpcStatus(code, message, details)


def fields(buffer: bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (tag, value, position after it); for bytes, value is their start offset. Fixed-size values are skipped."""
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
            return result % TWO_TO_64, position
        shift += 7
        if shift > 63:
            raise DecodeError("a varint is over 10 bytes", position)
    raise DecodeError("a varint is truncated", end)


def varint(value: int) -> bytes:
    """Encode a non-negative value."""
    if value < 0x80:
        return _ONE_BYTE[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_ONE_BYTE = tuple(bytes((value,)) for value in range(0x80))


def string_field(tag: int, words: str) -> bytes:
    """A string field with its one-byte tag; empty for the empty string, as in proto3."""
    data = words.encode()
    return bytes((tag,)) + varint(len(data)) + data if data else b""


def text(buffer: bytes, start: int, end: int) -> str:
    """Decode UTF-8. Raises: DecodeError."""
    try:
        return buffer[start:end].decode()
    except UnicodeDecodeError as error:
        raise DecodeError("a string is not UTF-8", start) from error


def int32(value: int) -> int:
    """The value of a varint in an int32 field."""
    # protobuf truncates a wider varint to its low 32 bits
    low = value & 0xFFFFFFFF
    return low - (1 << 32) if low & (1 << 31) else low
