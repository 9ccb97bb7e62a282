"""Verbs of the scenario language that pass their fields on as they are: one ask each, the answer as JSON.

A verb of the wire that says what its step is (`actors.wire.verb.StepWords`) has one made of it. For `verbs`, whose table they join, and `steps`, which performs them all alike: a field that is given goes into
the wire's own argument of that name. Not for verbs with a meaning of their own here, such as exec.
"""

from __future__ import annotations

from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast, get_args, get_origin

import msgspec

from actors.scenario.bases import ContainerName, Look, SandboxName, Target, Valued
from actors.scenario.model import Bytes, Kind, Number, Step, Text
from actors.wire.sandbox_verbs import SANDBOX_VERBS
from actors.wire.verbs import CONTAINER_VERBS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.wire.verb import StepWords, Verb

__all__ = ["ASKS", "ASK_EXAMPLES", "ASK_FIELDS", "ASK_WORDS", "CopyFile", "ListProcesses", "Update"]

# a whole number that may be a value
Whole = Annotated[str, Kind.NUMBER]
_Object = Annotated[dict[str, Any], Kind.ARGS]


class Info(Look, frozen=True, kw_only=True, omit_defaults=True):
    """What the actor says of itself: state, children, exit, oom_kills."""

    word = "info"
    info: Target


class ListProcesses(Look, frozen=True, kw_only=True, omit_defaults=True):
    """The container's processes: their pids as a JSON list, or with `table` what `ps` prints of them."""

    word = "list_processes"
    needs: ClassVar[tuple[str, ...]] = ("process_list",)
    list_processes: ContainerName
    table: bool = False
    args: tuple[Text, ...] = ()


class Update(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Changes limits of a container while it runs; all of them or none."""

    word = "update"
    needs: ClassVar[tuple[str, ...]] = ("limits",)
    update: ContainerName
    memory: Bytes | None = None
    pids: int | None = None
    cpus: Number | None = None


class CopyFile(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Puts a small file into the guest's shared directory."""

    word = "copy_file"
    copy_file: SandboxName
    path: Text
    data: Text


_SCOPES: tuple[tuple[Any, str, Mapping[str, Verb[Any, Any]]], ...] = (
    (SandboxName, "The sandbox.", SANDBOX_VERBS),
    (ContainerName, "The container.", CONTAINER_VERBS),
)


def _kind(annotation: Any) -> Any:
    """What a file writes for an argument of this type."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is tuple:
        return GenericAlias(tuple, (_kind(get_args(annotation)[0]), ...))
    if annotation in (str, bytes):
        return Text
    return _Object if issubclass(annotation, msgspec.Struct) else annotation


def _field(item: msgspec.structs.FieldInfo, *, value: bool) -> tuple[str, Any] | tuple[str, Any, Any]:
    kind: Any = Whole if value else _kind(item.type)
    if item.required:
        return item.name, kind
    # what the file leaves out is the wire's own default
    return (item.name, kind, item.default) if kind is bool else (item.name, kind | None, None)


def _step(about: Any, verb: Verb[Any, Any], words: StepWords) -> type[Step]:
    fields = (_field(item, value=item.name in words.values) for item in msgspec.structs.fields(verb.args))
    made = msgspec.defstruct(
        verb.name.title().replace("_", ""),
        [(verb.name, about), *fields],
        bases=(Valued if verb.changes_state else Look,),
        namespace={"__doc__": words.does, "word": verb.name, "needs": words.needs},
        module=__name__,
        frozen=True,
        kw_only=True,
        omit_defaults=True,
    )
    return cast("type[Step]", made)


_MADE = {
    _step(about, verb, verb.step): {verb.name: subject, **verb.step.fields}
    for about, subject, table in _SCOPES
    for verb in table.values()
    if verb.step is not None
}
ASKS: tuple[type[Step], ...] = (Info, ListProcesses, Update, CopyFile, *_MADE)
ASK_WORDS = frozenset(ask.word for ask in _MADE)
# for `words` and `examples`
ASK_FIELDS: Mapping[str, str] = {
    f"{step.__name__}.{name}": text for step, fields in _MADE.items() for name, text in fields.items()
}
ASK_EXAMPLES: Mapping[str, str] = {
    name: verb.step.example for _, _, table in _SCOPES for name, verb in table.items() if verb.step is not None
}
