"""Every verb, declared once: its name, its arguments and its answer, who it may run beside, and in which states.

For handles, which send verbs, and actors, which serve them; `actors.wire.verb` says what else is derived of a row. Not for
what a verb does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec

from actors.errors import InvalidArgument
from actors.lifecycle.states import ContainerState, SandboxState
from actors.wire.fields import CString, Path, SignalNumber, between
from actors.wire.reports import Capabilities, ContainerStats, GuestDetails, Interface, Route
from actors.wire.spec import (
    ContainerSpec,
    ExitStatus,
    ProcessSpec,
    ResourceSpec,
    SandboxSpec,
    Stopped,
    TerminalSize,
)
from actors.wire.verb import EVERYWHERE, KATA, NOOP, Overlap, Verb, verbs_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import StrEnum

    from actors.limits import Limits

__all__ = [
    "CONTAINER_VERBS",
    "SANDBOX_VERBS",
    "SYSTEM_VERBS",
    "Checked",
    "ContainerVerbs",
    "CopyFile",
    "CreateContainer",
    "CreateSandbox",
    "Created",
    "Delete",
    "Exec",
    "Info",
    "Interfaces",
    "ListProcesses",
    "ListedProcesses",
    "Nothing",
    "OnlineCpuMem",
    "Overlap",
    "ProcessRef",
    "ReadOutput",
    "ReseedRandom",
    "Routes",
    "SandboxVerbs",
    "SetGuestTime",
    "Signal",
    "Signalled",
    "Stop",
    "SystemVerbs",
    "Update",
    "UpdateInterface",
    "Verb",
    "Winsize",
    "WriteStdin",
    "Written",
]

A = TypeVar("A", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)

_Natural: TypeAlias = Annotated[int, between(0, 2**63 - 1)]
# the kernel's twelve bits
_Mode: TypeAlias = Annotated[int, between(0, 0o7777)]
# what Kata's wire has room for
_Owner: TypeAlias = Annotated[int, between(0, 2**31 - 1)]
# longer than a day nobody waits for a process that was told to end
_Grace: TypeAlias = Annotated[float, between(0, 86_400)]


class Nothing(msgspec.Struct, frozen=True):
    """No arguments, or nothing to tell."""


class CreateSandbox(msgspec.Struct, frozen=True):
    id: str
    spec: SandboxSpec = SandboxSpec()


class CreateContainer(msgspec.Struct, frozen=True):
    id: str
    spec: ContainerSpec


class Created(msgspec.Struct, frozen=True):
    """The new actor's address, to send its verbs to."""

    address: str


class Checked(msgspec.Struct, frozen=True):
    """What the agent says of itself; `serving` is its health check's answer."""

    serving: bool
    agent_version: str


class Info(msgspec.Struct, frozen=True):
    """An actor's own view of itself.

    A container's `children` are its execs that run. `exit` is there once its init has ended; `oom_kills` counts
    how often the kernel killed in it for want of memory.
    """

    id: str
    state: str
    children: tuple[str, ...] = ()
    exit: ExitStatus | None = None
    oom_kills: int = 0


class Exec(msgspec.Struct, frozen=True):
    """`id` names the new process; it is the caller's choice, so that asking again can't run it twice."""

    id: str
    process: ProcessSpec


class ProcessRef(msgspec.Struct, frozen=True):
    """One process of a container; the empty id is the container's init."""

    process: str = ""


class Signal(msgspec.Struct, frozen=True):
    """`all` delivers to every process of the container, and `process` must then be empty."""

    signal: SignalNumber
    process: str = ""
    all: bool = False


class Signalled(msgspec.Struct, frozen=True):
    """How many processes the signal was sent to; 0 when the process had ended already."""

    processes: int


class Winsize(msgspec.Struct, frozen=True):
    size: TerminalSize
    process: str = ""


class WriteStdin(msgspec.Struct, frozen=True):
    """An empty `data` writes nothing; it is never an end of file."""

    data: bytes
    process: str = ""


class Written(msgspec.Struct, frozen=True):
    """How many bytes the process's standard input took; 0 after it was closed."""

    length: int


class ReadOutput(msgspec.Struct, frozen=True):
    """A stream verb: pushes chunks from where the last reader stopped, up to the end of the output."""

    process: str = ""


class ListProcesses(msgspec.Struct, frozen=True):
    """`format` is "json" (the pids) or "table" (what `ps ARGS` prints; "-ef" when there are none)."""

    format: Literal["json", "table"] = "json"
    args: tuple[CString, ...] = ()


class ListedProcesses(msgspec.Struct, frozen=True, omit_defaults=True):
    """The pids, as the guest numbers them, or the table, as it was asked for."""

    pids: tuple[int, ...] = ()
    table: str = ""


class Update(msgspec.Struct, frozen=True):
    """The limits to change; those that are None stay as they are."""

    resources: ResourceSpec


class OnlineCpuMem(msgspec.Struct, frozen=True):
    """Bring up processors, and memory unless `cpu_only`, that were plugged into the guest's machine."""

    cpus: Annotated[int, between(1, 2**32 - 1)]
    cpu_only: bool = False
    # until that many processors are up
    wait: bool = False


class SetGuestTime(msgspec.Struct, frozen=True):
    """Since 1970."""

    seconds: _Natural
    microseconds: Annotated[int, between(0, 999_999)] = 0


class ReseedRandom(msgspec.Struct, frozen=True):
    """Random bytes for the guest's pool, 1 to 512 of them."""

    data: bytes


class CopyFile(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of a file of `size` bytes; pieces come in order, and the file appears with the last one.

    `path` is relative to the guest's shared directory, or begins with its name in the guest
    (/run/kata-containers/shared/containers). Directories that are missing are made with `directory_mode`.
    """

    path: Path
    size: _Natural
    data: bytes
    offset: _Natural = 0
    mode: _Mode = 0o644
    directory_mode: _Mode = 0o755
    uid: _Owner = 0
    gid: _Owner = 0


class Interfaces(msgspec.Struct, frozen=True):
    """Every network device of the sandbox."""

    interfaces: tuple[Interface, ...] = ()


class UpdateInterface(msgspec.Struct, frozen=True):
    """Its addresses become those given; name, mtu and hardware address where they are given."""

    interface: Interface


class Routes(msgspec.Struct, frozen=True):
    """The routes of the sandbox; as an argument of `update_routes` they replace the table."""

    routes: tuple[Route, ...] = ()


class Stop(msgspec.Struct, frozen=True):
    """Polite signal, wait out `grace_seconds`, SIGKILL to all. None: the limits' default.

    With `force` a step that fails does not keep the next from being tried, and the container is stopped in any case.
    """

    signal: SignalNumber = 15
    grace_seconds: _Grace | None = None
    force: bool = False


class Delete(msgspec.Struct, frozen=True):
    """`force` stops it first, with no grace and whatever fails."""

    force: bool = False


def _between(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InvalidArgument(f"{field} is {value}: expected {low} to {high}", field=field.partition("'")[0])


def _valid_processors(args: OnlineCpuMem, limits: Limits) -> None:
    _between("cpus", args.cpus, 1, limits.processors)


def _valid_random(args: ReseedRandom, limits: Limits) -> None:
    _between("data's length", len(args.data), 1, limits.random_bytes)


def _valid_piece(args: CopyFile, limits: Limits) -> None:
    _between("size", args.size, 0, limits.copied_bytes)
    _between("offset", args.offset, 0, args.size)
    _between("data's length", len(args.data), 0 if args.size == 0 else 1, args.size - args.offset)


def _reading(
    args: type[A],
    result: type[R],
    states: frozenset[StrEnum] = frozenset(),
    *,
    plain: bool = False,
    support: frozenset[str] = EVERYWHERE,
    streams: bool = False,
) -> Verb[A, R]:
    """One that changes nothing."""
    return Verb(
        args,
        result,
        Overlap.BESIDE,
        states,
        plain=plain,
        support=support,
        changes_state=False,
        stoppable=True,
        streams=streams,
    )


class SystemVerbs:
    """What the system actor serves."""

    create_sandbox = Verb(CreateSandbox, Created, Overlap.EXCLUSIVE)
    info = _reading(Nothing, Info)
    events = _reading(Nothing, Nothing, streams=True)


_SANDBOX = frozenset(SandboxState)
# where it has a guest that can be asked
_UP = frozenset({SandboxState.RUNNING})
# of a simulated guest there is neither a pool of randomness nor a network; elsewhere the guest made the network namespace
_MACHINE = KATA - {"kata/simulated"}


class SandboxVerbs:
    """What a sandbox's actor serves."""

    start = Verb(Nothing, Nothing, Overlap.EXCLUSIVE, frozenset({SandboxState.READY}))
    stop = Verb(Stop, Nothing, Overlap.PREEMPTIVE, _SANDBOX)
    delete = Verb(
        Delete, Nothing, Overlap.PREEMPTIVE, frozenset({SandboxState.READY, SandboxState.STOPPED, SandboxState.LOST})
    )
    check = _reading(Nothing, Checked, _UP, plain=True)
    capabilities = _reading(Nothing, Capabilities, _UP, plain=True)
    get_guest_details = _reading(Nothing, GuestDetails, _UP, plain=True)
    # the connection is dialled again when it is next needed; what is not connected is disconnected already
    disconnect = Verb(Nothing, Nothing, Overlap.BESIDE, _SANDBOX, support=KATA)
    # only inside a VM: elsewhere the processors and the clock are everybody's
    online_cpu_mem = Verb(OnlineCpuMem, Nothing, Overlap.SHARED, _UP, plain=True, valid=_valid_processors, support=NOOP)
    set_guest_time = Verb(SetGuestTime, Nothing, Overlap.SHARED, _UP, plain=True, support=NOOP)
    reseed_random = Verb(ReseedRandom, Nothing, Overlap.SHARED, _UP, plain=True, valid=_valid_random, support=_MACHINE)
    copy_file = Verb(CopyFile, Nothing, Overlap.SHARED, _UP, plain=True, valid=_valid_piece, support=KATA)
    list_interfaces = _reading(Nothing, Interfaces, _UP, plain=True, support=_MACHINE)
    update_interface = Verb(UpdateInterface, Interface, Overlap.SHARED, _UP, plain=True, support=_MACHINE)
    list_routes = _reading(Nothing, Routes, _UP, plain=True, support=_MACHINE)
    update_routes = Verb(Routes, Routes, Overlap.SHARED, _UP, plain=True, support=_MACHINE)
    info = _reading(Nothing, Info)
    events = _reading(Nothing, Nothing, streams=True)
    create_container = Verb(CreateContainer, Created, Overlap.SHARED, _UP)


_C = ContainerState
_LIVE = frozenset({_C.READY, _C.RUNNING, _C.PAUSED})
# its init may still be there
_THERE = _LIVE | {_C.STARTING, _C.STOPPING}
# control groups alone limit and count
_GROUPS = KATA - {"kata/processes"}


class ContainerVerbs:
    """What a container's actor serves."""

    start = Verb(Nothing, Nothing, Overlap.EXCLUSIVE, frozenset({_C.READY}))
    pause = Verb(Nothing, Nothing, Overlap.EXCLUSIVE, frozenset({_C.RUNNING}), support=KATA)
    resume = Verb(Nothing, Nothing, Overlap.EXCLUSIVE, frozenset({_C.PAUSED}), support=KATA)
    stop = Verb(Stop, Stopped, Overlap.PREEMPTIVE, _THERE | {_C.STOPPED})
    delete = Verb(Delete, Nothing, Overlap.PREEMPTIVE, frozenset({_C.STOPPED, _C.LOST}))
    # the guest forgets a stopped container, and a frozen one's control group can be read and written
    update = Verb(Update, Nothing, Overlap.EXCLUSIVE, _LIVE, plain=True, support=_GROUPS)
    # OCI allows an exec in a created container; in a paused one the child would be born frozen
    exec = Verb(Exec, Nothing, Overlap.SHARED, frozenset({_C.READY, _C.RUNNING}))
    # see the sandbox's
    disconnect = Verb(Nothing, Nothing, Overlap.BESIDE, frozenset(_C), support=KATA)
    signal = Verb(Signal, Signalled, Overlap.BESIDE, _THERE)
    winsize = Verb(Winsize, Nothing, Overlap.BESIDE, _LIVE | {_C.STARTING})
    # waits for room as long as the process does not read: the caller alone knows when that is too long
    write_stdin = Verb(WriteStdin, Written, Overlap.BESIDE, _THERE, stoppable=True)
    close_stdin = Verb(ProcessRef, Nothing, Overlap.BESIDE, frozenset(_C) - {_C.CREATING, _C.LOST})
    read_stdout = _reading(ReadOutput, Nothing, streams=True)
    read_stderr = _reading(ReadOutput, Nothing, streams=True)
    wait = _reading(ProcessRef, ExitStatus)
    list_processes = _reading(ListProcesses, ListedProcesses, _THERE, support=KATA)
    stats = _reading(Nothing, ContainerStats, _THERE, plain=True, support=_GROUPS)
    info = _reading(Nothing, Info)
    events = _reading(Nothing, Nothing, streams=True)


SYSTEM_VERBS: Mapping[str, Verb[Any, Any]] = verbs_of(SystemVerbs)
SANDBOX_VERBS: Mapping[str, Verb[Any, Any]] = verbs_of(SandboxVerbs)
CONTAINER_VERBS: Mapping[str, Verb[Any, Any]] = verbs_of(ContainerVerbs)
