"""Every verb: its name, the shapes of its arguments and its result, and how it may overlap others.

For handles, which send verbs, and actors, which serve them; the one table of each actor's verbs stands here.
Not for what a verb does, nor for the states it is allowed in: `actors.lifecycle` has those.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import msgspec

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

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CONTAINER_VERBS",
    "SANDBOX_VERBS",
    "SYSTEM_VERBS",
    "Checked",
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
    "SetGuestTime",
    "Signal",
    "Signalled",
    "Stop",
    "Update",
    "UpdateInterface",
    "Verb",
    "Winsize",
    "WriteStdin",
    "Written",
]


_Natural: TypeAlias = Annotated[int, between(0, 2**63 - 1)]
# the kernel's twelve bits
_Mode: TypeAlias = Annotated[int, between(0, 0o7777)]
# what Kata's wire has room for
_Owner: TypeAlias = Annotated[int, between(0, 2**31 - 1)]
# longer than a day nobody waits for a process that was told to end
_Grace: TypeAlias = Annotated[float, between(0, 86_400)]


class Overlap(Enum):
    """How a verb may run beside others of the same actor."""

    # changes the actor's state: one at a time, in arrival order, after the shared ones before it have ended
    EXCLUSIVE = "exclusive"
    # like EXCLUSIVE, but does not wait for shared ones: a stuck exec must not hold up a stop
    PREEMPTIVE = "preemptive"
    # runs beside other shared ones, never beside an exclusive one
    SHARED = "shared"
    # runs beside anything: waits, streams, and what must reach a process in whatever state
    BESIDE = "beside"


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


class Verb(msgspec.Struct, frozen=True):
    """One row of a verb table.

    A verb that changes nothing stops when its caller stops waiting. One that does runs to its own bound
    (its caller alone stops waiting, and gets `unknown`), unless it is `stoppable`.
    """

    args: type[msgspec.Struct]
    result: type[msgspec.Struct]
    overlap: Overlap
    changes_state: bool = True
    stoppable: bool = False
    streams: bool = False


def _reading(args: type[msgspec.Struct], result: type[msgspec.Struct], *, streams: bool = False) -> Verb:
    return Verb(
        args,
        result,
        Overlap.BESIDE,
        changes_state=False,
        stoppable=True,
        streams=streams,
    )


SYSTEM_VERBS: Mapping[str, Verb] = {
    "create_sandbox": Verb(CreateSandbox, Created, Overlap.EXCLUSIVE),
    "info": _reading(Nothing, Info),
    "events": _reading(Nothing, Nothing, streams=True),
}

SANDBOX_VERBS: Mapping[str, Verb] = {
    "start": Verb(Nothing, Nothing, Overlap.EXCLUSIVE),
    "stop": Verb(Stop, Nothing, Overlap.PREEMPTIVE),
    "delete": Verb(Delete, Nothing, Overlap.PREEMPTIVE),
    "check": _reading(Nothing, Checked),
    "capabilities": _reading(Nothing, Capabilities),
    "get_guest_details": _reading(Nothing, GuestDetails),
    # the connection is dialled again when it is next needed
    "disconnect": Verb(Nothing, Nothing, Overlap.BESIDE),
    "online_cpu_mem": Verb(OnlineCpuMem, Nothing, Overlap.SHARED),
    "set_guest_time": Verb(SetGuestTime, Nothing, Overlap.SHARED),
    "reseed_random": Verb(ReseedRandom, Nothing, Overlap.SHARED),
    "copy_file": Verb(CopyFile, Nothing, Overlap.SHARED),
    "list_interfaces": _reading(Nothing, Interfaces),
    "update_interface": Verb(UpdateInterface, Interface, Overlap.SHARED),
    "list_routes": _reading(Nothing, Routes),
    "update_routes": Verb(Routes, Routes, Overlap.SHARED),
    "info": _reading(Nothing, Info),
    "events": _reading(Nothing, Nothing, streams=True),
    "create_container": Verb(CreateContainer, Created, Overlap.SHARED),
}

CONTAINER_VERBS: Mapping[str, Verb] = {
    "start": Verb(Nothing, Nothing, Overlap.EXCLUSIVE),
    "pause": Verb(Nothing, Nothing, Overlap.EXCLUSIVE),
    "resume": Verb(Nothing, Nothing, Overlap.EXCLUSIVE),
    "stop": Verb(Stop, Stopped, Overlap.PREEMPTIVE),
    "delete": Verb(Delete, Nothing, Overlap.PREEMPTIVE),
    "update": Verb(Update, Nothing, Overlap.EXCLUSIVE),
    "exec": Verb(Exec, Nothing, Overlap.SHARED),
    # see the sandbox's
    "disconnect": Verb(Nothing, Nothing, Overlap.BESIDE),
    "signal": Verb(Signal, Signalled, Overlap.BESIDE),
    "winsize": Verb(Winsize, Nothing, Overlap.BESIDE),
    # waits for room as long as the process does not read: the caller alone knows when that is too long
    "write_stdin": Verb(WriteStdin, Written, Overlap.BESIDE, stoppable=True),
    "close_stdin": Verb(ProcessRef, Nothing, Overlap.BESIDE),
    "read_stdout": _reading(ReadOutput, Nothing, streams=True),
    "read_stderr": _reading(ReadOutput, Nothing, streams=True),
    "wait": _reading(ProcessRef, ExitStatus),
    "list_processes": _reading(ListProcesses, ListedProcesses),
    "stats": _reading(Nothing, ContainerStats),
    "info": _reading(Nothing, Info),
    "events": _reading(Nothing, Nothing, streams=True),
}
