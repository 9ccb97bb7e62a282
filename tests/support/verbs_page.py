"""Writes docs/verbs.md from the verb tables: what a client in another language sends and gets.

Usage: `.venv/bin/python -m tests.support.verbs_page`. A test holds the page to the tables.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect as shapes

from actors.wire.events import ActorEvent
from actors.wire.fields import rule_of
from actors.wire.sandbox_verbs import SANDBOX_VERBS
from actors.wire.verbs import CONTAINER_VERBS, SYSTEM_VERBS, Nothing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from actors.wire.verbs import Verb

PAGE = Path(__file__).resolve().parents[2] / "docs" / "verbs.md"
HEAD = """\
# Verbs

What an `ask` may say to whom, for whoever writes a client in another language; the envelopes themselves are in
[protocol.md](protocol.md). Made from [actors/wire](../actors/wire)'s declarations of them by
`python -m tests.support.verbs_page`.

Arguments and answers are msgpack maps with the field names below as keys. A field with a default may be left out, both
ways; a field that a reader does not know is ignored; "none" is the empty map. *changes*: runs to its own bound though its caller gives up;
*changes, stops*: changes something and stops when its caller gives up, who does not learn how much was done by then.
A value out of the range in brackets is `invalid_argument`, with the field's path as `details.field`; what a create makes is named
without `spec.`. *stream*: opened with a `window`, answered by chunks of bytes and then by its reply; *events*: the same with events.
"""
TABLES: tuple[tuple[str, Mapping[str, Verb[Any, Any]]], ...] = (
    ('The system, to ""', SYSTEM_VERBS),
    ("A sandbox, to its id", SANDBOX_VERBS),
    ('A container, to "SANDBOX/CONTAINER"', CONTAINER_VERBS),
)
_PLAIN: Mapping[type[shapes.Type], str] = {
    shapes.IntType: "integer",
    shapes.FloatType: "float",
    shapes.StrType: "text",
    shapes.BytesType: "bytes",
    shapes.BoolType: "boolean",
    shapes.NoneType: "nil",
    shapes.AnyType: "any",
}


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_verbs(), *_shapes()]).rstrip("\n") + "\n"


def _verbs() -> Iterator[str]:
    for title, verbs in TABLES:
        yield f"## {title}\n"
        yield "| verb | arguments | answer | |"
        yield "|---|---|---|---|"
        for name, verb in verbs.items():
            changes = "changes, stops" if verb.stoppable else "changes"
            kind = "stream" if verb.streams else changes if verb.changes_state else ""
            kind = f"events, {_link(ActorEvent)}" if name == "events" else kind
            yield f"| `{name}` | {_link(verb.args)} | {_link(verb.result)} | {kind} |"
        yield ""


def _shapes() -> Iterator[str]:
    yield "## Shapes\n"
    for shape in sorted(_used(), key=lambda used: used.__name__):
        yield f"### {shape.__name__}\n"
        if inspect.getdoc(shape) and not str(shape.__doc__).startswith(f"{shape.__name__}("):
            yield f"{inspect.cleandoc(str(shape.__doc__))}\n"
        yield "| field | type | default |"
        yield "|---|---|---|"
        info = shapes.type_info(shape)
        assert isinstance(info, shapes.StructType)
        for field in info.fields:
            yield f"| `{field.encode_name}` | {_named(field.type)} | {_default(field)} |"
        yield ""


def _link(shape: type[msgspec.Struct]) -> str:
    return "none" if shape is Nothing else f"[{shape.__name__}](#{shape.__name__.lower()})"


def _named(kind: shapes.Type) -> str:
    if isinstance(kind, shapes.Metadata):
        found = rule_of(kind)
        if found is None:
            return _named(kind.type)
        return found.words if found.words.startswith("text") else f"{_named(kind.type)} ({found.words})"
    if isinstance(kind, shapes.StructType):
        return _link(kind.cls)
    if isinstance(kind, shapes.UnionType):
        return " or ".join(map(_named, kind.types))
    if isinstance(kind, shapes.DictType):
        return f"map of {_named(kind.key_type)} to {_named(kind.value_type)}"
    if isinstance(kind, shapes.VarTupleType | shapes.ListType):
        return f"array of {_named(kind.item_type)}"
    if isinstance(kind, shapes.TupleType):
        return f"array of {', '.join(map(_named, kind.item_types))}"
    if isinstance(kind, shapes.LiteralType):
        return " or ".join(f'"{value}"' for value in kind.values)
    return _PLAIN[type(kind)]


def _default(field: shapes.Field) -> str:
    if field.required:
        return ""
    default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return f"`{msgspec.json.encode(default).decode()}`".replace("`null`", "nil")


def _used() -> set[type[msgspec.Struct]]:
    """Every struct that a verb's arguments or answer hold, at whatever depth."""
    found: set[type[msgspec.Struct]] = set()
    waiting: list[type[msgspec.Struct]] = [
        ActorEvent,
        *(side for _, verbs in TABLES for verb in verbs.values() for side in (verb.args, verb.result)),
    ]
    while waiting:
        shape = waiting.pop()
        if shape is Nothing or shape in found:
            continue
        found.add(shape)
        info = shapes.type_info(shape)
        assert isinstance(info, shapes.StructType)
        waiting.extend(inner for field in info.fields for inner in _structs(field.type))
    return found


def _structs(kind: shapes.Type) -> Iterator[type[msgspec.Struct]]:
    if isinstance(kind, shapes.StructType):
        yield kind.cls
    elif isinstance(kind, shapes.Metadata):
        yield from _structs(kind.type)
    elif isinstance(kind, shapes.UnionType):
        for option in kind.types:
            yield from _structs(option)
    elif isinstance(kind, shapes.DictType):
        yield from _structs(kind.value_type)
    elif isinstance(kind, shapes.VarTupleType | shapes.ListType):
        yield from _structs(kind.item_type)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
