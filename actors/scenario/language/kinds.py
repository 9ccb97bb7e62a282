"""How the fields of a scenario file are written: the kind of each, in an annotation beside its Python type.

A field is `Annotated[..., Kind.X, "its sentence"]`, or one of the aliases here with its sentence: the loader reads its text by
the kind (`scalars`), editors and the reference show the sentence.
"""

from __future__ import annotations

import types
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Each",
    "Kind",
    "hints_of",
    "sentence_of",
    "unwrap",
]


class Kind(Enum):
    """How the text of a field is read. The value says what is expected, for people."""

    DURATION = "a time such as 300ms, 5s or 2m"
    BYTES = "a size with its unit, such as 64MiB, 1GiB or 4096B"
    SIGNAL = "a signal's name (TERM, USR1) or number"
    TEXT = "text"
    NUMBER = "a number"
    SCALAR = "text or a number"
    REGEX = "a regular expression"
    COMMAND = "a list of words, or one text for sh -c"
    NEED = "something a world can provide"
    CODES = "an error's code, or a list of codes of which 'none' may be one"
    NAME = "a name: letters, digits, '-' or '_', at most 40"
    ID = "a name of 2 to 40 letters, digits, '-' or '_'"
    NEW_PROCESS = "a new name for the process"
    NEW_VARIABLE = "a name for the value"
    SANDBOX = "a sandbox of this file"
    CONTAINER = "a container of this file"
    TARGET = "a sandbox or a container of this file"
    PROCESS = "a container of this file, or a process named by an earlier exec"
    PROBE = "one thing to ask: the container to ask it of"
    FAULT = "one thing to break: the sandbox that it happens to"
    EACH = "a list of texts, a range such as 1..20, or {labels: {name: text}}"
    SAVE = "a name for the value, or names and the JSON path of each"
    JSON_PATH = "a JSON path such as memory.usage or [0].pid"
    RANGE = "two numbers, the lowest and the highest"
    VAR = "text, or {env: NAME, default: text}"
    ARGS = "arguments of the verb"
    THRESHOLD = "a threshold such as p95(exec) < 50ms"
    CONDITIONS = "what the value must be, or conditions on it"
    EXPECT = "what the step's value must be, or conditions on what came of it"
    STEP = "a step: one verb and what it acts on"
    BRANCH = "a step, or a list of steps"


Duration = Annotated[float, Kind.DURATION]
Bytes = Annotated[int, Kind.BYTES]
SignalNumber = Annotated[int, Kind.SIGNAL]
Text = Annotated[str, Kind.TEXT]
Number = Annotated[str, Kind.NUMBER]
Scalar = Annotated[str, Kind.SCALAR]
Regex = Annotated[str, Kind.REGEX]
Command = Annotated[tuple[str, ...], Kind.COMMAND]
Need = Annotated[str, Kind.NEED]
Codes = Annotated[tuple[str, ...], Kind.CODES]
Name = Annotated[str, Kind.NAME]
Id = Annotated[str, Kind.ID]
JsonPath = Annotated[str, Kind.JSON_PATH]
SandboxName = Annotated[str, Kind.SANDBOX]
ProcessName = Annotated[str, Kind.PROCESS]
ContainerName = Annotated[str, Kind.CONTAINER]
Target = Annotated[str, Kind.TARGET]
Variable = Annotated[str, Kind.NEW_VARIABLE]
# pairs of a name and the JSON path of what it keeps; an empty path keeps all of the value
Saves = Annotated[tuple[tuple[str, str], ...], Kind.SAVE]


class Each(msgspec.Struct, frozen=True):
    """What `for_each` goes through: texts as they stand, or the containers that have all these labels."""

    texts: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


@cache
def hints_of(shape: type[msgspec.Struct]) -> Mapping[str, Any]:
    """The annotations of a shape's fields, evaluated: once, as each is a text that has to be compiled."""
    return MappingProxyType(get_type_hints(shape, include_extras=True))


def unwrap(hint: Any) -> tuple[Any, Kind | None]:
    """The bare type of a field, and its kind if it has one; `None` is never written, so optional is left out."""
    kind = None
    while True:
        if get_origin(hint) is Annotated:
            hint, *notes = get_args(hint)
            kind = next((note for note in notes if isinstance(note, Kind)), kind)
        elif get_origin(hint) in (Union, types.UnionType):
            hint = next(part for part in get_args(hint) if part is not types.NoneType)
        else:
            return hint, kind


def sentence_of(hint: Any) -> str:
    """The sentence of a field, out of its annotation; empty without one."""
    return next((note for note in getattr(hint, "__metadata__", ()) if isinstance(note, str)), "")
