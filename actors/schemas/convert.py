"""Structs to protobuf messages and back, for any struct whose fields are named like the message's.

A plan for each pair of struct and message is made once and kept. Names match without case and
underscores (`oom_score_adj` is `OOMScoreAdj`), since the OCI structs are named as JSON wants and the agent's as their
.proto. The structs are those of both dialects: a struct has every field of its message, and may have fields that only
the other dialect's message has. Those are refused by name when they are set, or left out where that loses nothing but news.
Any other difference is refused when the plan is made. Not for validation: what a value means is checked by who uses it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, get_args, get_origin

import msgspec
from google.protobuf.message import DecodeError, Message

from actors.limits import DEFAULT_LIMITS
from actors.schemas.descriptors import message_class
from actors.words import Dialect

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "NoSuchField",
    "SchemaError",
    "decode",
    "encode",
    "field_key",
    "matched_fields",
    "prepare_conversion",
    "unruled",
]

S = TypeVar("S", bound=msgspec.Struct)


class SchemaError(ValueError):
    """Bytes that are not the message they should be, or a value that its field can't carry.

    Attributes:
        field: the message, or its field, as `grpc.WriteStreamRequest.data`.
        why: what is wrong with it.
    """

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


class NoSuchField(SchemaError):
    """A field is set that the dialect does not have: to leave it out would be to say something else."""


# (message, key in 1.x) -> key today: another name for the same thing
_RENAMED = {("types.Interface", "pcipath"): "devicepath"}


def encode(
    struct: msgspec.Struct, message_name: str, dialect: Dialect = Dialect.TTRPC, *, lossy: bool = False
) -> bytes:
    """The struct as bytes of the message; the same bytes for equal structs.

    Args:
        lossy: leave out what the dialect has no field for, as in an answer to somebody who does not know of it.

    Raises:
        NoSuchField: the dialect has no field for a value that is set, unless `lossy`.
        SchemaError: a value of the wrong type, out of its range, or text that UTF-8 can't carry.
    """
    message = _plan(type(struct), message_name, dialect, lossy).to_message(struct)
    return message.SerializeToString(deterministic=True)


def decode(struct_type: type[S], message_name: str, data: bytes, dialect: Dialect = Dialect.TTRPC) -> S:
    """The struct of the message's bytes; fields that neither knows are dropped, as protobuf wants.

    Raises:
        SchemaError: the bytes are no such message.
    """
    plan = _plan(struct_type, message_name, dialect, False)
    try:
        message = plan.message_class.FromString(data)
    except DecodeError as error:
        raise SchemaError(message_name, f"{len(data)} bytes can't be decoded: {error}") from error
    struct: S = plan.to_struct(message)
    return struct


def prepare_conversion(struct_type: type[msgspec.Struct], message_name: str, dialect: Dialect, *, lossy: bool) -> None:
    """Make now what the first conversion of this struct type would make."""
    _plan(struct_type, message_name, dialect, lossy)


def matched_fields(
    struct_type: type[msgspec.Struct], message_name: str, dialect: Dialect = Dialect.TTRPC
) -> list[tuple[msgspec.structs.FieldInfo, Any]]:
    """Each field of the struct that the dialect's message has, with its descriptor.

    Raises:
        TypeError: one of the two has a field more, which the other dialect does not account for.
    """
    by_key = _fields_by_key(message_name, dialect)
    structs = msgspec.structs.fields(struct_type)
    unmatched = set(by_key) ^ {field_key(info.name) for info in structs}
    if unmatched:
        other = _fields_by_key(message_name, _other(dialect))
        if not unmatched <= set(other) - set(by_key):
            raise TypeError(f"{struct_type.__name__} and {message_name} differ in {sorted(unmatched)}")
    return [(info, by_key[field_key(info.name)]) for info in structs if field_key(info.name) not in unmatched]


class _Field(NamedTuple):
    attribute: str
    name: str
    presence: bool
    to_message: Callable[[Any], Any] | None
    to_struct: Callable[[Any], Any] | None


class _Plan:
    """How one struct type and one message type become each other."""

    def __init__(self, struct_type: type[msgspec.Struct], message_name: str, dialect: Dialect, lossy: bool) -> None:
        self.struct_type = struct_type
        self.message_class = message_class(message_name, dialect)
        self._name = message_name
        self._dialect = dialect
        matched = matched_fields(struct_type, message_name, dialect)
        self._fields = tuple(_field(info.name, unruled(info.type), field, dialect, lossy) for info, field in matched)
        # of the other dialect alone, with what they are when nobody has set them
        held = {info.name for info, _ in matched}
        structs = msgspec.structs.fields(struct_type)
        self._defaults = {info.name: info.default for info in structs if info.name not in held and not lossy}

    def to_message(self, struct: msgspec.Struct) -> Message:
        for attribute, default in self._defaults.items():
            if getattr(struct, attribute) != default:
                raise NoSuchField(f"{self._name}.{attribute}", f"the {self._dialect} dialect has no such field")
        values: dict[str, Any] = {}
        for attribute, name, _, convert, _ in self._fields:
            value = getattr(struct, attribute)
            if value is not None:
                values[name] = convert(value) if convert is not None else value
        try:
            return self.message_class(**values)
        except (TypeError, ValueError) as error:
            raise SchemaError(f"{self._name}.{self._culprit(values)}", str(error)) from error

    def to_struct(self, message: Message) -> Any:
        values: dict[str, Any] = {}
        for attribute, name, presence, _, convert in self._fields:
            if presence and not message.HasField(name):
                continue
            value = getattr(message, name)
            values[attribute] = convert(value) if convert is not None else value
        return self.struct_type(**values)

    def _culprit(self, values: dict[str, Any]) -> str:
        for name, value in values.items():
            try:
                self.message_class(**{name: value})
            except (TypeError, ValueError):
                return name
        return "?"


def _field(attribute: str, annotation: Any, field: Any, dialect: Dialect, lossy: bool) -> _Field:
    kind = field.message_type
    to_message: Callable[[Any], Any] | None = None
    to_struct: Callable[[Any], Any] | None = None
    if kind is not None and kind.GetOptions().map_entry:
        values = kind.fields_by_name["value"].message_type
        to_message, to_struct = _map_converters(
            _plan(get_args(annotation)[1], values.full_name, dialect, lossy) if values else None
        )
    elif get_origin(annotation) is tuple:
        to_message, to_struct = _sequence_converters(
            field.full_name, _plan(get_args(annotation)[0], kind.full_name, dialect, lossy) if kind else None
        )
    elif kind is not None:
        # a message is `X | None`
        plan = _plan(get_args(annotation)[0], kind.full_name, dialect, lossy)
        to_message, to_struct = plan.to_message, plan.to_struct
    return _Field(attribute, field.name, field.has_presence, to_message, to_struct)


def _sequence_converters(name: str, plan: _Plan | None) -> tuple[Callable[[Any], Any] | None, Callable[[Any], Any]]:
    if plan is None:
        return None, tuple

    def to_struct(items: Any) -> tuple[Any, ...]:
        # an empty message is two bytes on the wire and a hundred in memory
        if len(items) > DEFAULT_LIMITS.message_items:
            raise SchemaError(name, f"{len(items)} of them; {DEFAULT_LIMITS.message_items} is the most")
        return tuple(map(plan.to_struct, items))

    return lambda items: [plan.to_message(item) for item in items], to_struct


def _map_converters(plan: _Plan | None) -> tuple[Callable[[Any], Any] | None, Callable[[Any], Any]]:
    # sorted: a protobuf map iterates in no order that one could rely on
    if plan is None:
        return None, lambda items: dict(sorted(items.items()))
    return (
        lambda items: {key: plan.to_message(value) for key, value in items.items()},
        lambda items: {key: plan.to_struct(items[key]) for key in sorted(items)},
    )


def unruled(annotation: Any) -> Any:
    """A field's type without the rule that stands on it."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def field_key(name: str) -> str:
    """Names of one field, in a struct, a .proto or OCI's JSON, have the same key."""
    return name.replace("_", "").lower()


def _fields_by_key(message_name: str, dialect: Dialect) -> dict[str, Any]:
    try:
        found = message_class(message_name, dialect).DESCRIPTOR.fields_by_name
    except KeyError:
        return {}
    keys = {name: field_key(name) for name in found}
    return {_RENAMED.get((message_name, keys[name]), keys[name]): field for name, field in found.items()}


def _other(dialect: Dialect) -> Dialect:
    return Dialect.GRPC if dialect is Dialect.TTRPC else Dialect.TTRPC


@cache
def _plan(struct_type: type[msgspec.Struct], message_name: str, dialect: Dialect, lossy: bool) -> _Plan:
    return _Plan(struct_type, message_name, dialect, lossy)
