"""What the fields of the agent API's messages are: names, types and ranges, for people and for reading JSON.

For `jsonform`, which reads and writes values by it, and for whoever lists calls with their fields. Names are the .proto's; any
case and underscores are the same name. Not for values.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_origin

from google.protobuf.descriptor import FieldDescriptor

from actors.schemas.convert import field_key, matched_fields, unruled
from actors.schemas.descriptors import method_types

if TYPE_CHECKING:
    from collections.abc import Mapping

    import msgspec

    from actors.schemas.rpcs import Rpc

__all__ = ["Field", "Shape", "request_shape", "response_shape"]

_UNSIGNED32, _UNSIGNED64 = (0, 2**32 - 1), (0, 2**64 - 1)
_SIGNED32, _SIGNED64 = (-(2**31), 2**31 - 1), (-(2**63), 2**63 - 1)
_RANGES = {
    FieldDescriptor.TYPE_UINT32: ("uint32", _UNSIGNED32),
    FieldDescriptor.TYPE_UINT64: ("uint64", _UNSIGNED64),
    FieldDescriptor.TYPE_INT32: ("int32", _SIGNED32),
    FieldDescriptor.TYPE_INT64: ("int64", _SIGNED64),
}
_WORDS = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_BOOL: "bool",
}


class Field(NamedTuple):
    """One field.

    Attributes:
        attribute: its name in the struct.
        kind: `string`, `bytes`, `bool`, `uint32` ..., `enum` or `message`; of a map the kind of its values.
        form: how many: one, `repeated`, or `map` from strings.
        shape: of a message.
        words: of an enum.
        optional: absent is something else than zero.
    """

    name: str
    attribute: str
    kind: str
    form: str
    bounds: tuple[int, int] | None
    shape: Shape | None
    words: Mapping[str, int]
    optional: bool

    @property
    def type(self) -> str:
        """As a .proto has it, for people."""
        kind = self.shape.name if self.shape is not None else "|".join(self.words) if self.words else self.kind
        return {"one": kind, "repeated": f"repeated {kind}", "map": f"map<string, {kind}>"}[self.form]


class Shape:
    """One message: its struct and its fields in the .proto's order."""

    def __init__(self, struct_type: type[msgspec.Struct], message: str) -> None:
        self.struct_type = struct_type
        self.name = message.rpartition(".")[2]
        matched = sorted(matched_fields(struct_type, message), key=lambda pair: int(pair[1].number))
        self.fields = tuple(_field(info.name, unruled(info.type), field) for info, field in matched)
        # OCI's own JSON calls one field of ours otherwise
        self._by_key = {field_key(info.encode_name): _found(self.fields, info.name) for info, _ in matched}
        self._by_key.update({field_key(field.name): field for field in self.fields})

    def find(self, name: str) -> Field | None:
        """The field that `name` means."""
        return self._by_key.get(field_key(name))


def request_shape(rpc: Rpc) -> Shape:
    """Of a call's request."""
    return _shape(rpc.request, method_types(rpc.service)[rpc.method][0])


def response_shape(rpc: Rpc) -> Shape:
    """Of a call's answer."""
    return _shape(rpc.response, method_types(rpc.service)[rpc.method][1])


@cache
def _shape(struct_type: type[msgspec.Struct], message: str) -> Shape:
    return Shape(struct_type, message)


def _found(fields: tuple[Field, ...], attribute: str) -> Field:
    return next(field for field in fields if field.attribute == attribute)


def _field(attribute: str, annotation: Any, descriptor: Any) -> Field:
    form, value = "one", descriptor
    if descriptor.message_type is not None and descriptor.message_type.GetOptions().map_entry:
        form, value = "map", descriptor.message_type.fields_by_name["value"]
        annotation = get_args(annotation)[1]
    elif get_origin(annotation) is tuple:
        form, annotation = "repeated", get_args(annotation)[0]
    kind, bounds = _RANGES.get(value.type, (_WORDS.get(value.type, "enum"), None))
    shape = None
    if value.message_type is not None:
        # one message is `X | None`
        struct_type = get_args(annotation)[0] if form == "one" else annotation
        kind, shape = "message", _shape(struct_type, value.message_type.full_name)
    return Field(
        name=descriptor.name,
        attribute=attribute,
        kind=kind,
        form=form,
        bounds=bounds,
        shape=shape,
        words={one.name: one.number for one in value.enum_type.values} if value.enum_type is not None else {},
        optional=bool(descriptor.has_presence) and shape is None,
    )
