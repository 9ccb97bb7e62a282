"""Bytes to envelopes and values and back: the one place that speaks msgpack for a mailbox.

For mail from anybody: a length, a depth and a count are checked before objects are built, and what msgpack
allows but JSON-like values have no use for is refused (extension types, NaN, infinities, duplicate keys,
keys that aren't text, trailing bytes). Not for deciding what becomes of a bad message: callers do.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from actors.errors import InvalidArgument
from actors.wire.bounds import MalformedValue, check_value
from actors.wire.envelope import AnyHello, Envelope
from transports.errors import RemoteProtocolError

__all__ = [
    "NOTHING",
    "MalformedValue",
    "decode_details",
    "decode_envelope",
    "decode_value",
    "decode_versions",
    "encode",
    "encode_raw",
]

T = TypeVar("T")

# an empty map: no arguments, or nothing to tell
NOTHING = b"\x80"

_ENCODE = msgspec.msgpack.Encoder().encode
_HELLO = msgspec.msgpack.Decoder(AnyHello)
_ENVELOPES: msgspec.msgpack.Decoder[Envelope] = msgspec.msgpack.Decoder(Envelope)


def encode(value: object) -> bytes:
    """One envelope, or one plain value, as msgpack.

    Raises:
        TypeError, OverflowError: not a value that msgpack has (a bug of the caller).
    """
    return _ENCODE(value)


def encode_raw(value: object) -> msgspec.Raw:
    """Arguments or a result, ready to be put into an envelope. Raises like `encode`."""
    return msgspec.Raw(_ENCODE(value))


def decode_envelope(message: bytes) -> Envelope:
    """One envelope; what it carries for a verb stays raw.

    Raises:
        RemoteProtocolError: it isn't one.
    """
    try:
        return _ENVELOPES.decode(message)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"not an envelope: {error}") from error


def decode_versions(message: bytes) -> tuple[int, ...]:
    """The versions that a hello of any version offers; empty when it is no hello."""
    try:
        return _HELLO.decode(message).versions
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ()


def decode_value(raw: msgspec.Raw, shape: type[T]) -> T:
    """Arguments or a result of the given shape.

    Raises:
        InvalidArgument: over a bound, not plain, or of another shape; the text says where.
    """
    data = bytes(raw)
    try:
        if data != NOTHING:
            check_value(data)
        return msgspec.msgpack.decode(data, type=shape)
    except (MalformedValue, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"expected {shape.__name__}: {error}") from error


def decode_details(raw: msgspec.Raw) -> dict[str, Any]:
    """The details of a failure; what can't be read is left out, since a failure must not hide behind another."""
    try:
        return decode_value(raw, dict[str, Any])
    except InvalidArgument:
        return {}
