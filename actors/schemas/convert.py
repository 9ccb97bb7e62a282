"""Structs to protobuf messages and back, for any struct whose fields are named like the message's.

A plan for each pair of struct and message is made once and kept. Names match without case and
underscores (`oom_score_adj` is `OOMScoreAdj`), since the OCI structs are named as JSON wants and the agent's as their
.proto. A struct that misses a field of its message, or has one too many, is refused when its plan is made. Not for
validation: what a value means is checked by who uses it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, get_args, get_origin

import msgspec
from google.protobuf.message import DecodeError, Message

from actors.schemas.descriptors import message_class

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SchemaError", "decode", "encode", "field_key", "matched_fields"]

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


def encode(struct: msgspec.Struct, message_name: str) -> bytes:
    """The struct as bytes of the message; the same bytes for equal structs.

    Raises:
        SchemaError: a value of the wrong type, out of its range, or text that UTF-8 can't carry.
    """
    message = _plan(type(struct), message_name).to_message(struct)
    return message.SerializeToString(deterministic=True)


def decode(struct_type: type[S], message_name: str, data: bytes) -> S:
    """The struct of the message's bytes; fields that neither knows are dropped, as protobuf wants.

    Raises:
        SchemaError: the bytes are no such message.
    """
    plan = _plan(struct_type, message_name)
    try:
        message = plan.message_class.FromString(data)
    except DecodeError as error:
        raise SchemaError(message_name, f"{len(data)} bytes can't be decoded: {error}") from error
    struct: S = plan.to_struct(message)
    return struct


def matched_fields(struct_type: type[msgspec.Struct], message_name: str) -> list[tuple[msgspec.structs.FieldInfo, Any]]:
    """Each field of the struct with the descriptor of its message's. Raises: TypeError when one has a field more."""
    descriptor = message_class(message_name).DESCRIPTOR
    by_key = {field_key(name): field for name, field in descriptor.fields_by_name.items()}
    structs = msgspec.structs.fields(struct_type)
    unmatched = set(by_key) ^ {field_key(info.name) for info in structs}
    if unmatched:
        raise TypeError(f"{struct_type.__name__} and {message_name} differ in {sorted(unmatched)}")
    return [(info, by_key[field_key(info.name)]) for info in structs]


class _Field(NamedTuple):
    attribute: str
    name: str
    presence: bool
    to_message: Callable[[Any], Any] | None
    to_struct: Callable[[Any], Any] | None


class _Plan:
    """How one struct type and one message type become each other."""

    def __init__(self, struct_type: type[msgspec.Struct], message_name: str) -> None:
        self.struct_type = struct_type
        self.message_class = message_class(message_name)
        self._name = message_name
        self._fields = tuple(
            _field(info.name, info.type, field) for info, field in matched_fields(struct_type, message_name)
        )

    def to_message(self, struct: msgspec.Struct) -> Message:
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


def _field(attribute: str, annotation: Any, field: Any) -> _Field:
    kind = field.message_type
    to_message: Callable[[Any], Any] | None = None
    to_struct: Callable[[Any], Any] | None = None
    if kind is not None and kind.GetOptions().map_entry:
        values = kind.fields_by_name["value"].message_type
        to_message, to_struct = _map_converters(_plan(get_args(annotation)[1], values.full_name) if values else None)
    elif get_origin(annotation) is tuple:
        to_message, to_struct = _sequence_converters(_plan(get_args(annotation)[0], kind.full_name) if kind else None)
    elif kind is not None:
        # a message is `X | None`
        plan = _plan(get_args(annotation)[0], kind.full_name)
        to_message, to_struct = plan.to_message, plan.to_struct
    return _Field(attribute, field.name, field.has_presence, to_message, to_struct)


def _sequence_converters(plan: _Plan | None) -> tuple[Callable[[Any], Any] | None, Callable[[Any], Any]]:
    if plan is None:
        return None, tuple
    return lambda items: [plan.to_message(item) for item in items], lambda items: tuple(map(plan.to_struct, items))


def _map_converters(plan: _Plan | None) -> tuple[Callable[[Any], Any] | None, Callable[[Any], Any]]:
    # sorted: a protobuf map iterates in no order that one could rely on
    if plan is None:
        return None, lambda items: dict(sorted(items.items()))
    return (
        lambda items: {key: plan.to_message(value) for key, value in items.items()},
        lambda items: {key: plan.to_struct(items[key]) for key in sorted(items)},
    )


def field_key(name: str) -> str:
    """Names of one field, in a struct, a .proto or OCI's JSON, have the same key."""
    return name.replace("_", "").lower()


@cache
def _plan(struct_type: type[msgspec.Struct], message_name: str) -> _Plan:
    return _Plan(struct_type, message_name)
