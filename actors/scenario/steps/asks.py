"""Steps that pass their fields on as they are: one ask each, the answer as JSON.

Each row of `_ASKS` is such a verb: a class is made of it, whose fields that are given go into the wire's own arguments of those
names. Where a field is no argument of the wire's the step is a class like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, cast

import msgspec

from actors.scenario.language.kinds import Bytes, ContainerName, Kind, Number, SandboxName, Target, Text
from actors.scenario.stage.asking import as_json, ask_by_name
from actors.scenario.stage.topology import cpu_quota
from actors.scenario.steps.base import Look, Observed, Single, Valued, same
from actors.wire.spec import ResourceSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.scenario.stage.draft import Draft, Tree
    from actors.scenario.stage.recording import Asked
    from actors.scenario.stage.stage import Attempt

__all__ = ["STEPS", "CopyFile", "ListProcesses", "Update"]

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
        names = [name for name in self.__struct_fields__ if name not in _OWN and name != self.word]
        args = {name: value for name in names if (value := getattr(self, name)) is not None}
        return Observed(await ask_by_name(self.about, self.word, args, attempt, texts=True))

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
        container, address = attempt.container(self.list_processes), attempt.address(self.list_processes)
        if self.table:
            words = [attempt.text(word) for word in self.args]
            table = container.process_table(*words, budget=attempt.budget)
            return Observed(await attempt.ask(self.word, address, table))
        pids = await attempt.ask(self.word, address, container.list_processes(budget=attempt.budget))
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
        asking = attempt.container(self.update).update(resources, budget=attempt.budget)
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
        copying = sandbox.copy_file(attempt.text(self.path), content, budget=attempt.budget)
        await attempt.ask(self.word, attempt.address(self.copy_file), copying)
        return Observed("{}")


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
