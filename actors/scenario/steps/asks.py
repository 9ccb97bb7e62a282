"""Steps that pass their fields on as they are: one ask each, the answer as JSON.

A verb of the wire that says what its step is (`actors.wire.verb.StepWords`) has one made of it, whose fields that are given go into
the arguments of those names. Where a field is no argument of the wire's the step is a class like any other.
"""

from __future__ import annotations

from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast, get_args, get_origin

import msgspec

from actors.scenario.language.kinds import Bytes, ContainerName, Kind, Number, SandboxName, Target, Text
from actors.scenario.stage.asking import as_json, ask_by_name
from actors.scenario.stage.topology import cpu_quota
from actors.scenario.steps.base import Look, Observed, Single, Valued, same
from actors.wire.sandbox_verbs import SANDBOX_VERBS
from actors.wire.spec import ResourceSpec
from actors.wire.verb import StepWords
from actors.wire.verbs import CONTAINER_VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.scenario.stage.draft import Draft, Tree
    from actors.scenario.stage.recording import Asked
    from actors.scenario.stage.stage import Attempt
    from actors.wire.verb import Verb

__all__ = ["STEPS", "CopyFile", "ListProcesses", "Update"]

# a number that may be a value
WholeNumber = Annotated[str, Kind.NUMBER]
Object = Annotated[dict[str, Any], Kind.ARGS]
_OWN = frozenset(item.name for item in msgspec.structs.fields(Valued))
_SANDBOX = Annotated[SandboxName, "The sandbox."]


class _Asked(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """What is made of each row."""

    async def perform(self, attempt: Attempt) -> Observed:
        names = [name for name in self.__struct_fields__ if name not in _OWN and name != self.word]
        args = {name: value for name in names if (value := getattr(self, name)) is not None}
        return Observed(await ask_by_name(self.about, self.word, args, attempt, texts=True))

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        """See `Step.recorded`; with arguments it is a call."""
        return same(cls, ask, draft) if ask.to and not msgspec.to_builtins(ask.args) else []


def _kind(annotation: Any) -> Any:
    """What a file writes for an argument of this type."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is tuple:
        return GenericAlias(tuple, (_kind(get_args(annotation)[0]), ...))
    if annotation in (str, bytes):
        return Text
    return Object if issubclass(annotation, msgspec.Struct) else annotation


def _field(item: msgspec.structs.FieldInfo, words: StepWords) -> tuple[str, Any] | tuple[str, Any, Any]:
    kind: Any = WholeNumber if item.name in words.values else _kind(item.type)
    if item.required:
        return item.name, Annotated[kind, words.fields[item.name]]
    # what the file leaves out is the wire's own default, where nothing says the same
    nothing = kind is bool or get_origin(kind) is tuple
    kind, default = (kind, item.default) if nothing else (kind | None, None)
    return item.name, Annotated[kind, words.fields[item.name]], default


def _steps(about: Any, *verbs: Verb[Any, Any]) -> tuple[type[Single], ...]:
    """Of those that say what their step is."""
    return tuple(_step(about, verb, verb.step) for verb in verbs if verb.step is not None)


def _step(about: Any, verb: Verb[Any, Any], words: StepWords) -> type[Single]:
    made = msgspec.defstruct(
        verb.name.title().replace("_", ""),
        [(verb.name, about), *(_field(item, words) for item in msgspec.structs.fields(verb.args))],
        bases=(_Asked,) if verb.changes_state else (_Asked, Look),
        namespace={"__doc__": words.does, "word": verb.name, "example": words.example, "needs": words.needs},
        module=__name__,
        frozen=True,
        kw_only=True,
        omit_defaults=True,
    )
    return cast("type[Single]", made)


class ListProcesses(Look, frozen=True, kw_only=True, omit_defaults=True):
    """The container's processes: their pids as a JSON list, or with `table` what `ps` prints of them."""

    word = "list_processes"
    elsewhere = frozenset({"ps"})
    example = '{list_processes: one, table: true, args: ["-ef"], expect: {contains: sleep}}'
    needs: ClassVar[tuple[str, ...]] = ("process_list",)
    list_processes: Annotated[ContainerName, "The container."]
    table: Annotated[bool, "The value is the table of `ps` instead."] = False
    args: Annotated[tuple[Text, ...], "Of `ps`; `-ef` when there are none."] = ()

    async def perform(self, attempt: Attempt) -> Observed:
        container, address = attempt.container(self.list_processes), attempt.address(self.list_processes)
        if self.table:
            words = [attempt.text(word) for word in self.args]
            table = container.process_table(*words, timeout=attempt.budget)
            return Observed(await attempt.ask(self.word, address, table))
        pids = await attempt.ask(self.word, address, container.list_processes(timeout=attempt.budget))
        return Observed(as_json(pids))


class Update(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Changes limits of a container while it runs; all of them or none."""

    word = "update"
    example = "{update: one, memory: 128MiB, cpus: 0.5}"
    needs: ClassVar[tuple[str, ...]] = ("limits",)
    update: Annotated[ContainerName, "The container."]
    memory: Annotated[Bytes | None, "How much memory it may use from now on."] = None
    pids: Annotated[int | None, "How many processes it may have from now on."] = None
    cpus: Annotated[Number | None, "How many processors it may use from now on."] = None

    def needed(self) -> Iterator[str]:
        yield from self.needs
        if self.pids is not None:
            yield "pids_limit"

    async def perform(self, attempt: Attempt) -> Observed:
        quota = cpu_quota(attempt.text(self.cpus) if self.cpus else None)
        resources = ResourceSpec(memory_bytes=self.memory, pids=self.pids, **quota)
        asking = attempt.container(self.update).update(resources, timeout=attempt.budget)
        await attempt.ask("update", attempt.address(self.update), asking)
        return Observed("{}")


class CopyFile(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Puts a small file into the guest's shared directory."""

    word = "copy_file"
    example = "{copy_file: box, path: etc/motd, data: hello}"
    copy_file: _SANDBOX
    path: Annotated[Text, "Relative to the shared directory."]
    data: Annotated[Text, "Its content."]

    async def perform(self, attempt: Attempt) -> Observed:
        sandbox, content = attempt.sandbox(self.copy_file), attempt.text(self.data).encode()
        copying = sandbox.copy_file(attempt.text(self.path), content, timeout=attempt.budget)
        await attempt.ask(self.word, attempt.address(self.copy_file), copying)
        return Observed("{}")


_INFO = StepWords(
    "What the actor says of itself: state, children, exit, oom_kills.", "{info: one, expect: {json: {oom_kills: 0}}}"
)
STEPS: tuple[type[Single], ...] = (
    _step(Annotated[Target, "The sandbox or container."], CONTAINER_VERBS["info"], _INFO),
    *_steps(Annotated[ContainerName, "The container."], *CONTAINER_VERBS.values()),
    ListProcesses,
    Update,
    *_steps(_SANDBOX, *SANDBOX_VERBS.values()),
    CopyFile,
)
