"""Validation of field values: rules declared on the fields' types, and one check for all of them.

A rule is a predicate and its text, in the `extra` of a `msgspec.Meta`; most are ranges (`between`). `check_fields`
walks a value by its declared type and reports the path of the first invalid field; a struct's method `at_odds` reports
fields that contradict each other (which field, and what was expected). It runs on both sides: on a verb's arguments
before an actor sees them, and on any guest client's request before an engine does. Context-dependent checks (whether a
program exists, whether an id is taken) are elsewhere.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias, cast

import msgspec
from msgspec import inspect as shapes

from actors.errors import InvalidArgument
from actors.limits import LARGEST_ID, LARGEST_SIGNAL

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "AbsolutePath",
    "Arguments",
    "CString",
    "Environment",
    "FullPath",
    "GroupText",
    "KillSignal",
    "Name",
    "OneUser",
    "Path",
    "Rule",
    "SignalNumber",
    "Size",
    "UserText",
    "at_most",
    "between",
    "check_fields",
    "check_signal",
    "is_cpu_list",
    "own_path",
    "prepare_check",
    "rule",
    "rule_of",
]

_SHOWN = 60
_CPU_LIST = re.compile(r"[0-9]{1,6}(-[0-9]{1,6})?(,[0-9]{1,6}(-[0-9]{1,6})?)*")
# more digits than any id has; Python refuses to parse thousands of them
_ID_DIGITS = 10


class Rule(NamedTuple):
    """A predicate for a value, and its text for error messages."""

    words: str
    holds: Callable[[Any], bool]


def rule(words: str, holds: Callable[[Any], bool]) -> msgspec.Meta:
    """For a field's `Annotated`, of which only the last counts: a type has one rule.

    Meta's own `ge` and `le` are not used: msgspec's messages for them contain neither value nor range.
    """
    return msgspec.Meta(extra={"rule": Rule(words, holds)})


def between(least: float, most: float) -> msgspec.Meta:
    """A number in a range, both ends included."""
    return rule(f"{least} to {most}", lambda value: least <= value <= most)


def at_most(count: int) -> msgspec.Meta:
    """A bound on the number of items."""
    return rule(f"at most {count} of them", lambda items: len(items) <= count)


def rule_of(kind: shapes.Type) -> Rule | None:
    """The rule on a type."""
    if not isinstance(kind, shapes.Metadata):
        return None
    extra = cast("dict[str, Rule] | None", kind.extra)  # pyright: ignore[reportUnknownMemberType]
    return None if extra is None else extra.get("rule")


def is_cpu_list(text: str) -> bool:
    """Whether it is a list of CPUs or memory nodes in the kernel's syntax: `0-2,4`."""
    return len(text) <= 4096 and _CPU_LIST.fullmatch(text) is not None


def _no_nul(text: str) -> bool:
    return "\0" not in text


def _is_path(text: str) -> bool:
    return text != "" and "\0" not in text and ".." not in text.split("/")


def _is_user(text: str) -> bool:
    parts = text.split(":")
    return not text or ("\0" not in text and len(parts) <= 2 and all(map(_is_id_or_name, parts)))


def _is_one_user(text: str) -> bool:
    return not set(text) & set(":,\0") and _is_id_or_name(text)


def _is_id_or_name(part: str) -> bool:
    if not (part.isascii() and part.isdigit()):
        return part != ""
    return len(part) <= _ID_DIGITS and int(part) <= LARGEST_ID


# for values that become C strings in the kernel: a NUL would truncate them
CString: TypeAlias = Annotated[str, rule("text without NUL", _no_nul)]
Name: TypeAlias = Annotated[str, rule("a name: not empty, without '=' or NUL", lambda text: bool(text) and "=" not in text and _no_nul(text))]  # fmt: skip
Path: TypeAlias = Annotated[str, rule("a path without '..' or NUL", _is_path)]
AbsolutePath: TypeAlias = Annotated[
    str, rule("an absolute path without '..' or NUL", lambda text: text.startswith("/") and _is_path(text))
]
FullPath: TypeAlias = Annotated[
    str, rule("an absolute path without NUL", lambda text: text.startswith("/") and _no_nul(text))
]
Arguments: TypeAlias = Annotated[tuple[CString, ...], rule("a program, and its arguments", bool)]
Environment: TypeAlias = dict[Name, CString]
# a user or a group alone: empty means not given
OneUser: TypeAlias = Annotated[str, rule(f"a name without ':' or ',', or a number from 0 to {LARGEST_ID}", lambda text: not text or _is_one_user(text))]  # fmt: skip
GroupText: TypeAlias = Annotated[str, rule(f"a group: a name without ':' or ',', or a number from 0 to {LARGEST_ID}", lambda text: _is_one_user(text))]  # fmt: skip
UserText: TypeAlias = Annotated[
    str, rule(f"a user, or user:group, as names or numbers from 0 to {LARGEST_ID}", _is_user)
]
# of a terminal, in character cells: the kernel's `struct winsize`
Size: TypeAlias = Annotated[int, between(1, 65535)]

# our own verb's range, and that of kill(2): signal 0 is not delivered, but fails for an ended process
SignalNumber: TypeAlias = Annotated[int, between(1, LARGEST_SIGNAL)]


def _is_kill(number: int) -> bool:
    return 0 <= number <= LARGEST_SIGNAL


_KILL = Rule(f"1 to {LARGEST_SIGNAL}, or 0 to send nothing", _is_kill)
KillSignal: TypeAlias = Annotated[int, rule(*_KILL)]

_Check: TypeAlias = "Callable[[Any, str], None]"
# prefixes of a create's arguments, besides its id, on Kata's wire and in a runtime's file
_WRAPPER = re.compile(r"\Aspec\.(?=.)")


def own_path(path: str) -> str:
    """A field's path as used in errors: without `spec.` for a create, so that `process.args` is the same
    field for create and exec."""
    return _WRAPPER.sub("", path)


def check_fields(value: msgspec.Struct, path: str = "") -> None:
    """Check that every field, at any depth, satisfies its rule. Types are not checked.

    Raises:
        InvalidArgument: for the first that does not; `field` is its path (`process.args[1]`), below `path` if given.
    """
    check = _struct_check(type(value))
    if check is not None:
        check(value, path)


def prepare_check(struct: type[msgspec.Struct]) -> None:
    """Make now what the first `check_fields` of this type would make."""
    _struct_check(struct)


def check_signal(number: int) -> None:
    """`KillSignal`'s rule, for a bare number. Raises: InvalidArgument (`signal`)."""
    if not _KILL.holds(number):
        raise _wrong("signal", number, _KILL.words)


def _wrong(path: str, value: object, words: str) -> InvalidArgument:
    shown = repr(value)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    field = own_path(path)
    return InvalidArgument(f"{field} is {shown}: expected {words}", field=field)


@cache
def _struct_check(struct: type[msgspec.Struct]) -> _Check | None:
    """Made once per type, from those fields only that have something to check."""
    info = shapes.type_info(struct)
    assert isinstance(info, shapes.StructType)
    made = [(field.name, field.encode_name, _check_of(field.type)) for field in info.fields]
    plan = [(name, told, check) for name, told, check in made if check is not None]
    at_odds: Callable[[Any], tuple[str, str] | None] | None = getattr(struct, "at_odds", None)
    if not plan and at_odds is None:
        return None

    def check_struct(value: Any, path: str) -> None:
        for name, told, check in plan:
            check(getattr(value, name), f"{path}.{told}" if path else told)
        odds = None if at_odds is None else at_odds(value)
        if odds is not None:
            name, words = odds
            raise _wrong(f"{path}.{name}" if path else name, getattr(value, name), words)

    return check_struct


def _check_of(kind: shapes.Type) -> _Check | None:
    if isinstance(kind, shapes.Metadata):
        return _ruled(kind)
    if isinstance(kind, shapes.StructType):
        return _struct_check(kind.cls)
    if isinstance(kind, shapes.UnionType):
        return _either(kind)
    if isinstance(kind, shapes.VarTupleType):
        return _each(kind)
    if isinstance(kind, shapes.DictType):
        return _mapped(kind)
    return None


def _ruled(kind: shapes.Metadata) -> _Check | None:
    inner, found = _check_of(kind.type), rule_of(kind)
    if found is None:
        return inner

    def check(value: Any, path: str) -> None:
        if not found.holds(value):
            raise _wrong(path, value, found.words)
        if inner is not None:
            inner(value, path)

    return check


def _either(kind: shapes.UnionType) -> _Check | None:
    """For an optional value: other unions don't occur in what we check."""
    inner = next((made for one in kind.types if (made := _check_of(one)) is not None), None)
    if inner is None:
        return None

    def check(value: Any, path: str) -> None:
        if value is not None:
            inner(value, path)

    return check


def _each(kind: shapes.VarTupleType) -> _Check | None:
    inner = _check_of(kind.item_type)
    if inner is None:
        return None

    def check(value: Any, path: str) -> None:
        for index, item in enumerate(value):
            inner(item, f"{path}[{index}]")

    return check


def _mapped(kind: shapes.DictType) -> _Check | None:
    sides = [_check_of(kind.key_type), _check_of(kind.value_type)]
    if sides == [None, None]:
        return None

    def check(value: Any, path: str) -> None:
        for pair in value.items():
            for side, item in zip(sides, pair, strict=True):
                if side is not None:
                    side(item, f"{path}[...]")

    return check
