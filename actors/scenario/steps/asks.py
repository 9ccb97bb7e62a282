"""Steps that pass their fields on as they are: one ask each, the answer as JSON; and calls of any verb by its name.

Each row of `_ASKS` is such a verb: a class is made of it, whose fields that are given go into the wire's own arguments of those
names. Where a field is no argument of the wire's the step is a class like any other. The answer becomes JSON with every field in it,
zeros included, so that a path always leads somewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, cast

import msgspec

from actors.errors import InvalidArgument
from actors.likeness import nearest
from actors.scenario.language.kinds import Bytes, ContainerName, Kind, Number, SandboxName, Target, Text
from actors.scenario.stage.draft import written
from actors.scenario.stage.topology import cpu_quota
from actors.scenario.steps.base import Look, Observed, Single, Valued, Wrong, same
from actors.wire.codec import convert_args
from actors.wire.spec import ResourceSpec
from actors.wire.verbs import CONTAINER_VERBS, SANDBOX_VERBS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from actors.scenario.stage.draft import Draft, Tree
    from actors.scenario.stage.recording import Asked
    from actors.scenario.stage.stage import Attempt
    from actors.wire.verbs import Verb

__all__ = ["CALL", "STEPS", "Call", "CopyFile", "ListProcesses", "Update"]

# a number that may be a value
Whole = Annotated[str, Kind.NUMBER]
Object = Annotated[dict[str, Any], Kind.ARGS]
_OWN = frozenset(item.name for item in msgspec.structs.fields(Valued))
_SANDBOX = Annotated[SandboxName, "The sandbox."]


class _Ask(NamedTuple):
    """A verb of the wire that a file asks as it is. `fields`: of its arguments, as `msgspec.defstruct` takes them."""

    word: str
    does: str
    about: Any
    example: str
    looks: bool = False
    needs: tuple[str, ...] = ()
    fields: tuple[tuple[str, Any] | tuple[str, Any, Any], ...] = ()


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


def _step(row: _Ask) -> type[Single]:
    made = msgspec.defstruct(
        row.word.title().replace("_", ""),
        [(row.word, row.about), *row.fields],
        bases=(_Asked, Look) if row.looks else (_Asked,),
        namespace={"__doc__": row.does, "word": row.word, "example": row.example, "needs": row.needs},
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


_ASKS: tuple[_Ask | type[Single], ...] = (
    _Ask(
        "info",
        "What the actor says of itself: state, children, exit, oom_kills.",
        Annotated[Target, "The sandbox or container."],
        "{info: one, expect: {json: {oom_kills: 0}}}",
        looks=True,
    ),
    _Ask(
        "stats",
        "What the container uses: cpu, memory, pids, block_io, huge_pages, network.",
        Annotated[ContainerName, "The container."],
        "{stats: one, save: {used: memory.usage.bytes}}",
        looks=True,
        needs=("stats",),
    ),
    ListProcesses,
    Update,
    _Ask(
        "capabilities",
        "What the sandbox's agent can be given.",
        _SANDBOX,
        "{capabilities: box}",
        looks=True,
    ),
    _Ask(
        "get_guest_details",
        "What the guest says of itself.",
        _SANDBOX,
        "{get_guest_details: box}",
        looks=True,
    ),
    _Ask(
        "disconnect",
        "Closes the sandbox's own connection to its agent; the next verb dials again.",
        _SANDBOX,
        "{disconnect: box}",
    ),
    _Ask(
        "online_cpu_mem",
        "Brings up processors, and memory, that were plugged into the guest's machine.",
        _SANDBOX,
        "{online_cpu_mem: box, cpus: 2, wait: true}",
        fields=(
            ("cpus", Annotated[int, "How many processors."]),
            ("cpu_only", Annotated[bool, "No memory."], False),
            ("wait", Annotated[bool, "Until that many are up."], False),
        ),
    ),
    _Ask(
        "set_guest_time",
        "Sets the guest's clock.",
        _SANDBOX,
        "{set_guest_time: box, seconds: 1700000000}",
        fields=(
            ("seconds", Annotated[Whole, "Since 1970."]),
            ("microseconds", Annotated[Whole | None, "And so many more."], None),
        ),
    ),
    _Ask(
        "reseed_random",
        "Mixes bytes into the random pool of the guest's kernel.",
        _SANDBOX,
        "{reseed_random: box, data: some text}",
        fields=(("data", Annotated[Text, "1 to 512 bytes, as text."]),),
    ),
    CopyFile,
    _Ask(
        "list_interfaces",
        "The sandbox's network devices.",
        _SANDBOX,
        "{list_interfaces: box}",
        looks=True,
    ),
    _Ask(
        "update_interface",
        "Gives a network device of the sandbox its addresses; the value is how it is then.",
        _SANDBOX,
        "{update_interface: box, interface: {device: eth0, name: eth0, mtu: 1400}}",
        fields=(
            (
                "interface",
                Annotated[Object, "`device`, `name`, `addresses` (`address`, `prefix`), `mtu`, `hardware_address`."],
            ),
        ),
    ),
    _Ask(
        "list_routes",
        "The sandbox's routes.",
        _SANDBOX,
        "{list_routes: box}",
        looks=True,
    ),
    _Ask(
        "update_routes",
        "Replaces the sandbox's routes; the value is how they are then.",
        _SANDBOX,
        "{update_routes: box, routes: [{destination: 10.0.0.0/8, device: eth0}]}",
        fields=(
            (
                "routes",
                Annotated[
                    tuple[Object, ...],
                    "Each with `destination`, `gateway`, `device` and the like; see docs/protocol.md.",
                ],
                (),
            ),
        ),
    ),
)

STEPS: tuple[type[Single], ...] = tuple(_step(row) if isinstance(row, _Ask) else row for row in _ASKS)
CALL = (Call,)
