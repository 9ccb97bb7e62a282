"""Between bytes and envelopes or values: the only place that uses msgpack for a mailbox.

For untrusted messages: length, depth and item count are checked before objects are built, and msgpack
features that JSON-like values don't need are refused (extension types, NaN, infinities, duplicate keys,
non-text keys, trailing bytes). The caller decides how to handle a bad message.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from msgspec import inspect as shapes

from actors.errors import InvalidArgument
from actors.wire.bounds import MAX_DEPTH, MAX_ITEMS, MalformedValue, check_value
from actors.wire.envelope import AnyHello, Envelope
from actors.wire.fields import check_fields, own_path
from actors.wire.shapes import check_structs
from transports.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "NOTHING",
    "MalformedValue",
    "convert_args",
    "decode_details",
    "decode_envelope",
    "decode_value",
    "decode_versions",
    "encode",
    "encode_args",
    "encode_raw",
]

T = TypeVar("T")

# an empty map: no arguments, or an empty result
NOTHING = b"\x80"

_ENCODE = msgspec.msgpack.Encoder().encode
_HELLO = msgspec.msgpack.Decoder(AnyHello)
_ANYTHING: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder()
# msgspec gives the location only in its message
_PATH = re.compile(r"`\$\.?([^`]*)`\Z")
_MISSING = re.compile(r"Object missing required field `([^`]*)`")
_SCALARS = frozenset((type(None), bool, int, str, bytes))
_SEQUENCES = frozenset((list, tuple))
_ENVELOPES: msgspec.msgpack.Decoder[Envelope] = msgspec.msgpack.Decoder(Envelope)


def encode(value: object) -> bytes:
    """Encode one envelope or plain value as msgpack.

    Raises:
        TypeError, OverflowError: not expressible in msgpack (a bug of the caller).
    """
    return _ENCODE(value)


def encode_raw(value: object) -> msgspec.Raw:
    """Encode arguments or a result for use in an envelope. Raises like `encode`."""
    return msgspec.Raw(_ENCODE(value))


def encode_args(args: object) -> msgspec.Raw:
    """Encode a verb's arguments for use in an envelope.

    Raises:
        InvalidArgument: a value that can't be encoded (a lone surrogate, a number over 64 bits, an object), or a mapping where
        a struct is declared; `field` names it.
    """
    if isinstance(args, msgspec.Struct):
        check_structs(args)
    try:
        return encode_raw(args)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        field = own_path(_unfit(args, "", MAX_DEPTH) or "args")
        raise InvalidArgument(f"{field}: no message can carry it: {error}", field=field) from error


def convert_args(args: object, shape: type[T]) -> T:
    """Arguments from user-written text and plain values; numbers may be text.

    Raises:
        InvalidArgument: as `decode_value`.
    """
    try:
        return msgspec.convert(args, shape, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidArgument(f"expected {shape.__name__}: {error}", field=_culprit(str(error))) from None


def decode_envelope(message: bytes) -> Envelope:
    """Decode one envelope; a verb's arguments or result stay raw.

    Raises:
        RemoteProtocolError: malformed.
    """
    try:
        return _ENVELOPES.decode(message)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"not an envelope: {error}") from error


def decode_versions(message: bytes) -> tuple[int, ...]:
    """The versions offered by a hello of any version; empty if it is no hello."""
    try:
        return _HELLO.decode(message).versions
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ()


def decode_value(raw: msgspec.Raw, shape: type[T]) -> T:
    """Decode arguments or a result of the given shape.

    Raises:
        InvalidArgument: over a bound, not plain, or of another shape; the text says where, `field` names the field.
    """
    data = bytes(raw)
    try:
        # each item takes at least a byte, so that decoding few bytes is bounded; many are looked at first
        if len(data) > MAX_ITEMS:
            check_value(data)
        # a shape is always hashable, which type checkers do not know of `type[T]`
        decoder: msgspec.msgpack.Decoder[T] = _decoder(cast("Any", shape))
        try:
            decoded = decoder.decode(data)
        except (msgspec.DecodeError, RecursionError, TypeError, UnicodeDecodeError):
            # what is not plain is told before what is of another shape
            check_value(data)
            raise
        if len(data) <= MAX_ITEMS and not _surely_plain(decoded, data):
            check_value(data)
    except MalformedValue as error:
        raise InvalidArgument(f"expected {shape.__name__}: {error}", field=_malformed(data, shape)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"expected {shape.__name__}: {error}", field=_culprit(str(error))) from error
    if isinstance(decoded, msgspec.Struct):
        check_fields(decoded)
    return decoded


def _culprit(told: str) -> str:
    """The field in msgspec's message, as `process.args[0]`; `args` if it is the whole."""
    path = _PATH.search(told)
    missing = _MISSING.match(told)
    steps = [*(path.groups() if path else ()), *(missing.groups() if missing else ())]
    return own_path(".".join(filter(None, steps))) or "args"


def _malformed(data: bytes, shape: type[object]) -> str:
    """The field that is not plain, if the whole is small enough to be decoded."""
    if len(data) > MAX_ITEMS:
        return "args"
    try:
        return own_path(_unfit(_ANYTHING.decode(data), "", MAX_DEPTH, shapes.type_info(shape)) or "args")
    except (msgspec.DecodeError, RecursionError, TypeError, UnicodeDecodeError):
        return "args"


def _unfit(value: Any, path: str, depth: int, kind: shapes.Type | None = None) -> str | None:
    """The path of the first part of a value that can't be encoded; `kind` tells a struct's map from a map."""
    parts: Iterable[tuple[str, Any, shapes.Type | None]]
    if depth == 0:
        return path
    if isinstance(value, msgspec.Struct):
        parts = ((f"{path}.{name}".lstrip("."), getattr(value, name), None) for name in value.__struct_fields__)
    elif isinstance(value, dict):
        pairs = cast("dict[object, object]", value)
        if path and not all(_fits(key) and isinstance(key, str) for key in pairs):
            return path
        known = _fields(kind)
        parts = (
            (f"{path}.{key}".lstrip(".") if not path or key in known else f"{path}[...]", item, known.get(key))
            for key, item in pairs.items()
        )
    elif isinstance(value, list | tuple):
        parts = ((f"{path}[{index}]", item, kind) for index, item in enumerate(cast("list[Any]", value)))
    else:
        return None if _fits(value) else path
    return next((found for name, item, of in parts if (found := _unfit(item, name, depth - 1, of)) is not None), None)


def _fields(kind: shapes.Type | None) -> Mapping[object, shapes.Type]:
    """The fields of the struct type held by a field, directly or in a collection."""
    while isinstance(kind, shapes.Metadata | shapes.VarTupleType):
        kind = kind.type if isinstance(kind, shapes.Metadata) else kind.item_type
    found: dict[object, shapes.Type] = {}
    if isinstance(kind, shapes.UnionType):
        return next((fields for one in kind.types if (fields := _fields(one))), found)
    if isinstance(kind, shapes.StructType):
        found.update((field.encode_name, field.type) for field in kind.fields)
    return found


def _fits(value: object) -> bool:
    try:
        return math.isfinite(value) if isinstance(value, float) else bool(_ENCODE(value))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False


def _surely_plain(value: object, data: bytes) -> bool:
    """Whether `data` is certainly plain: `value`, which it decodes to, is, and encodes to the very same bytes.

    That excludes duplicate keys, trailing bytes, and fields that a struct does not know. Takes a tenth of the time of
    `check_value`, which decides all other cases: not plain, or valid but encoded in another way.
    """
    return data == NOTHING or (_plain(value, MAX_DEPTH) and _ENCODE(value) == data)


def _plain(value: object, depth: int) -> bool:
    kind: type[object] = type(value)
    if kind in _SCALARS:
        return True
    if kind is dict and depth:
        pairs = cast("dict[object, object]", value)
        return all(type(key) is str for key in pairs) and _all_plain(pairs.values(), depth - 1)
    if kind in _SEQUENCES and depth:
        return _all_plain(cast("Iterable[object]", value), depth - 1)
    if isinstance(value, msgspec.Struct) and depth:
        return _all_plain(msgspec.structs.astuple(value), depth - 1)
    return kind is float and math.isfinite(cast("float", value))


def _all_plain(items: Iterable[object], depth: int) -> bool:
    return all(type(item) in _SCALARS or _plain(item, depth) for item in items)


@cache
def _decoder(shape: Any) -> msgspec.msgpack.Decoder[Any]:
    # a few dozen shapes; making a decoder takes longer than using it
    return msgspec.msgpack.Decoder(shape)


def decode_details(raw: msgspec.Raw) -> dict[str, Any]:
    """The details of a failure; undecodable ones are dropped, so that one failure does not hide another."""
    try:
        return decode_value(raw, dict[str, Any])
    except InvalidArgument:
        return {}
