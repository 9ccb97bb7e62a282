"""Every field of every verb, and how to ask each verb through its handle with one field spoiled.

Fields come from the verbs' own types, so that a new verb or field is asked as well: `CALLS` must have its verb.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect as shapes

from actors.wire import sandbox_verbs, verbs
from actors.wire.fields import own_path
from actors.wire.reports import Address, Interface, Route
from actors.wire.spec import ContainerSpec, MountSpec, ProcessSpec, ResourceSpec, SandboxSpec, TerminalSize

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from actors.handles import ContainerHandle, ProcessHandle, SandboxHandle, SystemHandle

__all__ = ["ARGUMENTS", "CALLS", "Place", "is_own_name", "places", "related", "spoiled"]

# where a value stands: names of fields, 0 for the first item, "key" and "value" of a map
Place = tuple[str | int, ...]

_PROCESS = ProcessSpec(args=("true",))
# what is asked when nothing is spoiled
_RIGHT: Mapping[type[msgspec.Struct], msgspec.Struct] = {
    verbs.CreateSandbox: verbs.CreateSandbox("new"),
    sandbox_verbs.CreateContainer: sandbox_verbs.CreateContainer("new", ContainerSpec(process=_PROCESS)),
    verbs.Exec: verbs.Exec("new", _PROCESS),
    verbs.Signal: verbs.Signal(10),
    verbs.Winsize: verbs.Winsize(TerminalSize(24, 80)),
    verbs.Update: verbs.Update(ResourceSpec()),
    sandbox_verbs.CopyFile: sandbox_verbs.CopyFile(path="file", size=1, data=b"x"),
    sandbox_verbs.UpdateInterface: sandbox_verbs.UpdateInterface(Interface(device="lo")),
}
# one of each part that is not there when nothing is said
_PARTS: Mapping[type[msgspec.Struct], msgspec.Struct] = {
    TerminalSize: TerminalSize(24, 80),
    MountSpec: MountSpec(source="/a", destination="/b"),
    SandboxSpec: SandboxSpec(),
    ResourceSpec: ResourceSpec(),
    Address: Address("127.0.0.1", 8),
    Route: Route(destination="192.0.2.0/24"),
}
_TABLES = {
    "system": verbs.SYSTEM_VERBS,
    "sandbox": sandbox_verbs.SANDBOX_VERBS,
    "container": verbs.CONTAINER_VERBS,
}
ARGUMENTS: Mapping[tuple[str, str], type[msgspec.Struct]] = {
    (kind, name): verb.args
    for kind, table in _TABLES.items()
    for name, verb in table.items()
    if verb.args is not verbs.Nothing
}


def places(args: type[msgspec.Struct]) -> Iterator[Place]:
    """Of every value in the arguments, whole parts included."""
    info = shapes.type_info(args)
    assert isinstance(info, shapes.StructType)
    for field in info.fields:
        yield from _below(field.type, (field.name,))


def _below(kind: shapes.Type, place: Place) -> Iterator[Place]:
    yield place
    for inner in kind.types if isinstance(kind, shapes.UnionType) else (kind,):
        bare = inner.type if isinstance(inner, shapes.Metadata) else inner
        if isinstance(bare, shapes.StructType):
            yield from ((*place, *rest) for rest in places(bare.cls))
        elif isinstance(bare, shapes.VarTupleType):
            yield from _below(bare.item_type, (*place, 0))
        elif isinstance(bare, shapes.DictType):
            yield from ((*place, "key"), (*place, "value"))


def _least(args: type[msgspec.Struct]) -> msgspec.Struct:
    """Arguments with what they must have, of the plainest kind."""
    simple: Mapping[type[shapes.Type], object] = {shapes.IntType: 1, shapes.StrType: "x", shapes.BytesType: b"x"}
    info = shapes.type_info(args)
    assert isinstance(info, shapes.StructType)
    kinds = {field.name: field.type for field in info.fields if field.required}
    bare = {name: kind.type if isinstance(kind, shapes.Metadata) else kind for name, kind in kinds.items()}
    return args(**{name: simple[type(kind)] for name, kind in bare.items()})


def spoiled(args: type[msgspec.Struct], place: Place, wild: object) -> Any:
    """Right arguments but for one value."""
    return _put(args, _RIGHT[args] if args in _RIGHT else _least(args), place, wild)


def _put(kind: Any, value: Any, place: Place, wild: object) -> Any:
    if not place:
        return wild
    step, rest = place[0], place[1:]
    if step == "key":
        return {wild: "x"} if getattr(wild, "__hash__", None) else {"A": wild}
    if step == "value":
        return {"A": wild}
    if step == 0:
        return (_put(kind, value[0] if value else _part(kind), rest, wild), *value[1:])
    name = str(step)
    info = shapes.type_info(type(value))
    assert isinstance(info, shapes.StructType)
    inner = next(field.type for field in info.fields if field.name == name)
    current = getattr(value, name)
    return msgspec.structs.replace(
        value, **{name: _put(inner, _part(inner) if current is None else current, rest, wild)}
    )


def _part(kind: Any) -> Any:
    """One of those that a type may hold."""
    for one in kind.types if isinstance(kind, shapes.UnionType) else (kind,):
        bare = one.type if isinstance(one, shapes.Metadata) else one
        if isinstance(bare, shapes.VarTupleType):
            return _part(bare.item_type)
        if isinstance(bare, shapes.StructType):
            return _PARTS[bare.cls]
    return "x"


def _told(place: Place) -> str:
    """The place as errors name it."""
    words = ""
    for step in place:
        words += f"[{step}]" if step == 0 else "[...]" if step in ("key", "value") else f".{step}"
    return own_path(words.lstrip("."))


@cache
def _names(args: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(_told(place) for place in places(args)) | {"args"}


def is_own_name(args: type[msgspec.Struct], field: str) -> bool:
    """Whether a verb with these arguments has a field of that name, at whatever depth; or of a part of what was no list or map."""
    told = re.sub(r"\[\d+\]", "[0]", field)
    return told in _names(args) or re.sub(r"(\[[^]]*\])+\Z", "", told) in _names(args)


def related(place: Place, field: str) -> bool:
    """Whether the name is that of the value at `place`, of a part of it, or of what it is a part of."""
    mine, told = _told(place), re.sub(r"\[\d+\]", "[0]", field)
    return told == "args" or mine == "spec" or mine.startswith(told) or told.startswith(mine)


async def _read(process: ProcessHandle, *, stderr: bool = False) -> None:
    async with process.open_stderr() if stderr else process.open_stdout() as parts:
        async for _ in parts:
            return


def _signal(one: ContainerHandle, args: Any) -> Awaitable[object]:
    return (
        one.signal(args.signal, all_processes=args.all) if args.all else one.process(args.process).signal(args.signal)
    )


def _table(one: ContainerHandle, args: Any) -> Awaitable[object]:
    words: Any = args.args
    return one.process_table(*(words if isinstance(words, list | tuple) else (words,)))


def _system(act: Callable[[SystemHandle, Any], Awaitable[object]]) -> Any:
    return act


def _box(act: Callable[[SandboxHandle, Any], Awaitable[object]]) -> Any:
    return act


def _one(act: Callable[[ContainerHandle, Any], Awaitable[object]]) -> Any:
    return act


def _plain(verb: str) -> Callable[[Any, Any], Awaitable[object]]:
    """By the method of a plain verb, which takes the fields of the arguments by their names."""

    def act(handle: Any, args: Any) -> Awaitable[object]:
        asked: Awaitable[object] = getattr(handle, verb)(
            **{name: getattr(args, name) for name in args.__struct_fields__}
        )
        return asked

    return act


# each verb by its handle's own method, given the arguments that the method would send
CALLS: Mapping[tuple[str, str], Callable[[Any, Any], Awaitable[object]]] = {
    **{(kind, name): _plain(name) for kind, name in ARGUMENTS if _TABLES[kind][name].plain},
    ("system", "create_sandbox"): _system(lambda system, a: system.create_sandbox(a.id, a.spec)),
    ("sandbox", "stop"): _box(lambda box, a: box.stop(grace=a.grace_seconds)),
    ("sandbox", "delete"): _box(lambda box, a: box.delete(force=a.force)),
    ("sandbox", "copy_file"): _box(
        lambda box, a: box.copy_file(a.path, a.data, mode=a.mode, directory_mode=a.directory_mode, uid=a.uid, gid=a.gid)
    ),
    ("sandbox", "create_container"): _box(lambda box, a: box.create_container(a.id, a.spec)),
    ("container", "stop"): _one(lambda one, a: one.stop(signum=a.signal, grace=a.grace_seconds, force=a.force)),
    ("container", "delete"): _one(lambda one, a: one.delete(force=a.force)),
    ("container", "exec"): _one(lambda one, a: one.exec(a.id, a.process)),
    ("container", "signal"): _one(_signal),
    ("container", "winsize"): _one(
        lambda one, a: one.process(a.process).winsize(
            getattr(a.size, "rows", a.size), getattr(a.size, "columns", a.size)
        )
    ),
    ("container", "write_stdin"): _one(lambda one, a: one.process(a.process).write(a.data)),
    ("container", "close_stdin"): _one(lambda one, a: one.process(a.process).close_stdin()),
    ("container", "read_stdout"): _one(lambda one, a: _read(one.process(a.process))),
    ("container", "read_stderr"): _one(lambda one, a: _read(one.process(a.process), stderr=True)),
    ("container", "wait"): _one(lambda one, a: one.process(a.process).wait(timeout=1)),
    ("container", "list_processes"): _one(_table),
}
