"""Requests and answers of the agent API as JSON values, by the names of the .proto.

For `katrio call`. Reading is strict: an error names the field, what was found there and what was expected. Bytes are text
(UTF-8), or `{"base64": "..."}` where they are not; written so, and read so. Enums are their words. Not for the JSON of a
config.json (`oci`), though its names are understood, nor for opening files.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, NoReturn, cast

from actors.errors import InvalidArgument
from actors.schemas.shapes import request_shape, response_shape
from actors.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import msgspec

    from actors.schemas.request import Request
    from actors.schemas.rpcs import Rpc
    from actors.schemas.shapes import Field, Shape

__all__ = ["request_from_json", "request_to_json", "response_to_json", "text_to_json", "unknown_field"]

_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})
_SHOWN = 60
_HALF = "half a surrogate pair, or a byte that is no UTF-8, is none"
_ZEROS: Mapping[str, object] = {"string": "", "bytes": b"", "bool": False}


def request_from_json(rpc: Rpc, value: object) -> Request[Any]:
    """The request that a JSON value says; what it leaves out is zero. Raises: InvalidArgument."""
    return cast("Request[Any]", _struct(request_shape(rpc), value, rpc.method, ""))


def request_to_json(rpc: Rpc, request: msgspec.Struct) -> dict[str, Any]:
    """What `request_from_json` would read, without what is zero."""
    return _mapping(request_shape(rpc), request, zeros=False)


def response_to_json(rpc: Rpc, response: msgspec.Struct) -> dict[str, Any]:
    """Every field, zeros included, so that a path always leads somewhere."""
    return _mapping(response_shape(rpc), response, zeros=True)


def text_to_json(rpc: Rpc, field: Field, path: str, text: str) -> object:
    """The JSON value that `text` stands for in a field: what a person writes after `name=`. Raises: InvalidArgument."""
    structured = field.shape is not None or field.form == "map"
    if structured or (field.form == "repeated" and text.startswith("[")):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            _refuse(rpc.method, path, text, f"JSON of {field.type}")
    if field.kind == "bool":
        word = text.lower()
        if word not in _TRUE | _FALSE:
            _refuse(rpc.method, path, text, "true or false")
        return word in _TRUE
    if field.bounds is not None or (field.words and text.lstrip("-").isdecimal()):
        try:
            return int(text, 0)
        except ValueError:
            _refuse(rpc.method, path, text, _expected(field))
    return text


# reading


def _struct(shape: Shape, value: object, method: str, path: str) -> msgspec.Struct:
    if not isinstance(value, dict):
        _refuse(method, path, value, f"an object with the fields of {shape.name}")
    given: dict[str, object] = {}
    for name, one in cast("dict[str, object]", value).items():
        field = shape.find(name)
        if field is None:
            raise unknown_field(method, f"{path}.{name}" if path else name, [one.name for one in shape.fields])
        where = f"{path}.{field.name}" if path else field.name
        if field.attribute in given:
            raise InvalidArgument(f"{method}.{where}: it is given twice", field=where)
        given[field.attribute] = _default(field) if one is None else _field(field, one, method, where)
    for field in shape.fields:
        given.setdefault(field.attribute, _default(field))
    return shape.struct_type(**given)


def _default(field: Field) -> object:
    match field.form:
        case "repeated":
            return ()
        case "map":
            return {}
        case _ if field.shape is not None or field.optional:
            return None
        case _:
            return _ZEROS.get(field.kind, 0)


def _field(field: Field, value: object, method: str, path: str) -> object:
    match field.form:
        case "repeated":
            if not isinstance(value, list):
                _refuse(method, path, value, f"a list of {_expected(field)}")
            items = enumerate(cast("list[object]", value))
            return tuple(_one(field, one, method, f"{path}[{index}]") for index, one in items)
        case "map":
            if not isinstance(value, dict):
                _refuse(method, path, value, f"an object whose values are {_expected(field)}")
            pairs = cast("dict[str, object]", value).items()
            for key in cast("dict[str, object]", value):
                if not _is_text(key):
                    _refuse(method, path, key, f"names of whole characters: {_HALF}")
            return {key: _one(field, one, method, f"{path}[{key}]") for key, one in pairs}
        case _:
            return _one(field, value, method, path)


def _one(field: Field, value: object, method: str, path: str) -> object:
    if field.shape is not None:
        return _struct(field.shape, value, method, path)
    match field.kind:
        case "string" if isinstance(value, str):
            if not _is_text(value):
                _refuse(method, path, value, f"a string of whole characters: {_HALF}")
            return value
        case "bool" if isinstance(value, bool):
            return value
        case "bytes":
            if (data := _bytes(value)) is not None:
                return data
        case "enum" if isinstance(value, str):
            number = {word.lower(): number for word, number in field.words.items()}.get(value.lower())
            if number is not None:
                return number
        case _ if (field.bounds or field.words) and isinstance(value, int) and not isinstance(value, bool):
            low, high = field.bounds or (-(2**31), 2**31 - 1)
            if low <= value <= high:
                return value
        case _:
            pass
    _refuse(method, path, value, _expected(field))


def _is_text(value: str) -> bool:
    """Whether UTF-8 can carry it, as a string on the wire must be."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bytes(value: object) -> bytes | None:
    if isinstance(value, str):
        try:
            return value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return None
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value)
        encoded = pairs.get("base64")
        if set(pairs) == {"base64"} and isinstance(encoded, str):
            try:
                return base64.b64decode(encoded, validate=True)
            except binascii.Error:
                return None
    return None


def _expected(field: Field) -> str:
    if field.shape is not None:
        return f"an object with the fields of {field.shape.name}"
    if field.bounds is not None:
        return f"a whole number from {field.bounds[0]} to {field.bounds[1]}"
    if field.words:
        return f"one of {', '.join(field.words)}, or its number"
    return {"string": "a string", "bool": "true or false", "bytes": 'text, or {"base64": "..."}'}[field.kind]


def _refuse(method: str, path: str, value: object, expected: str) -> NoReturn:
    found = json.dumps(value, default=repr)
    found = found if len(found) <= _SHOWN else f"{found[:_SHOWN]}..."
    place = f"{method}.{path}" if path else method
    raise InvalidArgument(
        f"{place}: found {found}, expected {expected}", field=path or "request", found=found, expected=expected
    )


def unknown_field(method: str, path: str, names: Sequence[str]) -> InvalidArgument:
    """The error of a name that is none of `names`: `path` is where it was given, its last part the name."""
    parents, _, name = path.rpartition(".")
    like = nearest(name.lower(), [one.lower() for one in names])
    right = next((one for one in names if one.lower() == like), "")
    hint = f"; did you mean {right}?" if right else ""
    known = f"one of {', '.join(names)}" if names else "no field at all"
    where = f"{method}.{parents}" if parents else method
    found = name[:_SHOWN]
    return InvalidArgument(
        f"{where}: found the field {found!r}, expected {known}{hint}",
        field=path[: 2 * _SHOWN],
        found=found,
        expected=known,
    )


# writing


def _mapping(shape: Shape, struct: msgspec.Struct, *, zeros: bool) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for field in shape.fields:
        value = getattr(struct, field.attribute)
        if zeros or value != _default(field):
            told[field.name] = _told(field, value, zeros=zeros)
    return told


def _told(field: Field, value: Any, *, zeros: bool) -> object:
    if value is None:
        return None
    match field.form:
        case "repeated":
            return [_told_one(field, one, zeros=zeros) for one in value]
        case "map":
            return {key: _told_one(field, one, zeros=zeros) for key, one in value.items()}
        case _:
            return _told_one(field, value, zeros=zeros)


def _told_one(field: Field, value: Any, *, zeros: bool) -> object:
    if field.shape is not None:
        return _mapping(field.shape, value, zeros=zeros)
    if field.kind == "bytes":
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    if field.words:
        return next((word for word, number in field.words.items() if number == value), value)
    return value
