"""Checks that a struct's fields, at every depth, hold values of their declared struct types.

For Python callers, before encoding: a mapping in place of a struct would be decoded as one and its unknown keys
ignored, so that a limit under a wrong name would be silently lost. Plain types are checked by the decoder, ranges in
`fields`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import msgspec
from msgspec import inspect as shapes

from actors.errors import InvalidArgument
from actors.wire.fields import own_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["check_structs"]

_Check: TypeAlias = "Callable[[Any, str], None]"


def check_structs(value: msgspec.Struct) -> None:
    """Accept a value if every field declared as a struct holds one, or None where optional.

    Raises:
        InvalidArgument: for the first that does not; `field` is its path.
    """
    check = _fields_of(type(value))
    if check is not None:
        check(value, "")


@cache
def _fields_of(struct: type[msgspec.Struct]) -> _Check | None:
    info = shapes.type_info(struct)
    assert isinstance(info, shapes.StructType)
    made = [(field.name, _check_of(field.type)) for field in info.fields]
    plan = [(name, check) for name, check in made if check is not None]
    if not plan:
        return None

    def check_fields(value: Any, path: str) -> None:
        for name, check in plan:
            check(getattr(value, name), f"{path}.{name}" if path else name)

    return check_fields


def _check_of(kind: shapes.Type) -> _Check | None:
    if isinstance(kind, shapes.Metadata):
        return _check_of(kind.type)
    if isinstance(kind, shapes.StructType):
        return _one_of(kind.cls)
    if isinstance(kind, shapes.StrType):
        return _text
    if isinstance(kind, shapes.UnionType):
        inner = next((made for one in kind.types if (made := _check_of(one)) is not None), None)
        return None if inner is None else lambda value, path: None if value is None else inner(value, path)
    if isinstance(kind, shapes.VarTupleType):
        return _each(_check_of(kind.item_type))
    return None


def _one_of(struct: type[msgspec.Struct]) -> _Check:
    inner = _fields_of(struct)

    def check(value: Any, path: str) -> None:
        if not isinstance(value, struct):
            field = own_path(path)
            raise InvalidArgument(f"{field} is of type {type(value).__name__}: expected {struct.__name__}", field=field)
        if inner is not None:
            inner(value, path)

    return check


def _text(value: Any, path: str) -> None:
    """The encoder or decoder rejects other types, but a path is an easy mistake for which both have poor messages."""
    if hasattr(value, "__fspath__"):
        field = own_path(path)
        raise InvalidArgument(
            f"{field} is of type {type(value).__name__}: expected text, as str(path) makes it", field=field
        )


def _each(inner: _Check | None) -> _Check | None:
    if inner is None:
        return None

    def check(value: Any, path: str) -> None:
        # the decoder rejects what is no sequence
        items = cast("Sequence[Any]", value if isinstance(value, tuple | list) else ())
        for index, item in enumerate(items):
            inner(item, f"{path}[{index}]")

    return check
