"""Steps that pass their fields on as they are: one ask each, the answer as JSON; and calls of any verb by its name.

A verb of the wire that says what its step is (`actors.wire.verb.StepWords`) has one made of it, whose fields that are given go into
the arguments of those names. Where a field is no argument of the wire's the step is a class like any other. The answer becomes JSON with every field in it,
zeros included, so that a path always leads somewhere.
"""

from __future__ import annotations

from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast, get_args, get_origin

import msgspec

from actors.errors import InvalidArgument
from actors.likeness import nearest
from actors.scenario.language.kinds import Bytes, ContainerName, Kind, Number, SandboxName, Target, Text
from actors.scenario.stage.draft import written
from actors.scenario.stage.topology import cpu_quota
from actors.scenario.steps.base import Look, Observed, Single, Valued, Wrong, same
from actors.wire.codec import convert_args
from actors.wire.sandbox_verbs import SANDBOX_VERBS
from actors.wire.spec import ResourceSpec
from actors.wire.verb import StepWords
from actors.wire.verbs import CONTAINER_VERBS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from actors.scenario.stage.draft import Draft, Tree
    from actors.scenario.stage.recording import Asked
    from actors.scenario.stage.stage import Attempt
    from actors.wire.verb import Verb

__all__ = ["CALL", "STEPS", "Call", "CopyFile", "ListProcesses", "Update"]

# a number that may be a value
Whole = Annotated[str, Kind.NUMBER]
Object = Annotated[dict[str, Any], Kind.ARGS]
_OWN = frozenset(item.name for item in msgspec.structs.fields(Valued))
_SANDBOX = Annotated[SandboxName, "The sandbox."]


class _Asked(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """What is made of each row."""

    async def perform(self, attempt: Attempt) -> Observed:
        """See `Single.perform`; a text of the file is the bytes of the wire."""
        shape = _row(self.about, self.word, attempt).args
        binary = {item.name for item in msgspec.structs.fields(shape) if item.type is bytes}
        args: dict[str, object] = {}
        for name in self.__struct_fields__:
            if name not in _OWN and name != self.word and (value := getattr(self, name)) is not None:
                filled = _filled(value, attempt)
                args[name] = filled.encode() if isinstance(filled, str) and name in binary else filled
        return Observed(await _send(self.about, self.word, args, attempt))

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
    kind: Any = Whole if item.name in words.values else _kind(item.type)
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
        """See `Single.perform`."""
        container, address = attempt.container(self.list_processes), attempt.address(self.list_processes)
        if self.table:
            words = [attempt.text(word) for word in self.args]
            table = container.process_table(*words, timeout=attempt.budget)
            return Observed(await attempt.ask(self.word, address, table))
        pids = await attempt.ask(self.word, address, container.list_processes(timeout=attempt.budget))
        return Observed(_json(pids))


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
        """See `Step.needed`."""
        yield from self.needs
        if self.pids is not None:
            yield "pids_limit"

    async def perform(self, attempt: Attempt) -> Observed:
        """See `Single.perform`."""
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
        """See `Single.perform`."""
        sandbox, content = attempt.sandbox(self.copy_file), attempt.text(self.data).encode()
        copying = sandbox.copy_file(attempt.text(self.path), content, timeout=attempt.budget)
        await attempt.ask(self.word, attempt.address(self.copy_file), copying)
        return Observed("{}")


class Call(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Any verb of a sandbox or container by its name on the wire. Its value: the answer as JSON."""

    word = "call"
    example = "{call: one, verb: signal, args: {signal: 9}}"
    call: Annotated[Target, "The sandbox or container."]
    verb: Annotated[Text, "The verb's name in docs/protocol.md."]
    args: Annotated[Object, "Its arguments."] = msgspec.field(default_factory=dict[str, Any])

    def details(self, text: Callable[[str], str]) -> Iterator[str]:
        """See `Step.details`."""
        yield self.verb

    def faults(self) -> Iterator[Wrong]:
        """See `Step.faults`: whether there is such a verb, and whether it takes these arguments."""
        tables = (SANDBOX_VERBS, CONTAINER_VERBS)
        rows = [table[self.verb] for table in tables if self.verb in table and not table[self.verb].streams]
        if not rows:
            known = list(dict.fromkeys(name for table in tables for name, row in table.items() if not row.streams))
            expected = f"a verb: {', '.join(known)}"
            yield Wrong(("verb",), repr(self.verb), expected, nearest(self.verb, known), at=())
            return
        troubles: list[str] = []
        for row in rows:
            try:
                msgspec.convert(self.args, row.args, strict=False)
            except msgspec.ValidationError as error:
                troubles.append(str(error))
        if len(troubles) == len(rows):
            fields = ", ".join(item.encode_name for item in msgspec.structs.fields(rows[0].args)) or "none"
            yield Wrong(("args",), troubles[0], f"the arguments of {self.verb}: {fields}", at=())

    async def perform(self, attempt: Attempt) -> Observed:
        """See `Single.perform`."""
        return Observed(await _send(self.call, self.verb, _filled(self.args, attempt), attempt))

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        """See `Step.recorded`: whatever no other step repeats; of the system itself a file can't ask."""
        if not ask.to:
            return []
        fields: Tree = msgspec.to_builtins(ask.args)
        step: Tree = {cls.word: draft.target(ask.to), "verb": ask.verb}
        return [{**step, **({"args": written(fields)} if fields else {})}]


def _row(target: str, verb: str, attempt: Attempt) -> Verb[Any, Any]:
    """Raises: InvalidArgument, when what is meant has no such verb."""
    table = SANDBOX_VERBS if attempt.is_sandbox(target) else CONTAINER_VERBS
    if verb not in table:
        known = ", ".join(table)
        raise InvalidArgument(f"{attempt.address(target)} has no verb {verb!r}: it has {known}", field="verb")
    return table[verb]


async def _send(target: str, verb: str, args: object, attempt: Attempt) -> str:
    address, row = attempt.address(target), _row(target, verb, attempt)
    message = convert_args(args, row.args)
    asking = attempt.stage.world.system.courier.ask(address, verb, message, row.result, timeout=attempt.budget)
    return _json(await attempt.ask(verb, address, asking))


def _filled(args: object, attempt: Attempt) -> object:
    if isinstance(args, dict):
        return {key: _filled(value, attempt) for key, value in cast("dict[str, object]", args).items()}
    if isinstance(args, (list, tuple)):
        return [_filled(value, attempt) for value in cast("list[object]", args)]
    return attempt.text(args) if isinstance(args, str) else args


def _json(value: object) -> str:
    return msgspec.json.encode(_plain(value)).decode()


def _plain(value: object) -> object:
    """A value with all fields of its structs, those that the wire leaves out as well."""
    if isinstance(value, msgspec.Struct):
        return {item.encode_name: _plain(getattr(value, item.name)) for item in msgspec.structs.fields(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("dict[str, object]", value).items()}
    return value


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
CALL = (Call,)
