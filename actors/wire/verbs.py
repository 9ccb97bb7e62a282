"""The verbs of the system and of a container, each declared once; `sandbox_verbs` has a sandbox's.

Handles send them, actors serve them; `actors.wire.verb` lists what is derived from a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import msgspec

from actors.lifecycle.states import ContainerState
from actors.wire.fields import CString, SignalNumber, between
from actors.wire.reports import ContainerStats
from actors.wire.spec import (
    ExitStatus,
    ProcessSpec,
    ResourceSpec,
    SandboxSpec,
    Stopped,
    TerminalSize,
)
from actors.wire.verb import KATA, Concurrency, StepWords, Verb, reading, verbs_of

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = [
    "CONTAINER_VERBS",
    "SYSTEM_VERBS",
    "Concurrency",
    "ContainerVerbs",
    "CreateSandbox",
    "Created",
    "Delete",
    "Exec",
    "Info",
    "ListProcesses",
    "ListedProcesses",
    "Nothing",
    "ProcessRef",
    "ReadOutput",
    "Signal",
    "Signalled",
    "Stop",
    "SystemVerbs",
    "Update",
    "Verb",
    "Winsize",
    "WriteStdin",
    "Written",
]

# nobody waits longer than a day for a process to terminate
_Grace: TypeAlias = Annotated[float, between(0, 86_400)]


class Nothing(msgspec.Struct, frozen=True):
    """No arguments, or nothing to tell."""


class CreateSandbox(msgspec.Struct, frozen=True):
    id: str
    spec: SandboxSpec = SandboxSpec()


class Created(msgspec.Struct, frozen=True):
    """The new actor's address, to send its verbs to."""

    address: str


class Info(msgspec.Struct, frozen=True):
    """An actor's own view of itself.

    A container's `children` are its execs that run. `exit` is there once its init has ended; `oom_kills` counts
    how often the kernel OOM-killed in it.
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


class SystemVerbs:
    """What the system actor serves."""

    create_sandbox = Verb(CreateSandbox, Created, Concurrency.EXCLUSIVE)
    info = reading(Nothing, Info)
    events = reading(Nothing, Nothing, streams=True)


_C = ContainerState
_LIVE = frozenset({_C.READY, _C.RUNNING, _C.PAUSED})
# its init may still exist
_THERE = _LIVE | {_C.STARTING, _C.STOPPING}
# only cgroups limit and count
_GROUPS = KATA - {"kata/processes"}


class ContainerVerbs:
    """What a container's actor serves."""

    start = Verb(Nothing, Nothing, Concurrency.EXCLUSIVE, frozenset({_C.READY}))
    pause = Verb(Nothing, Nothing, Concurrency.EXCLUSIVE, frozenset({_C.RUNNING}), support=KATA)
    resume = Verb(Nothing, Nothing, Concurrency.EXCLUSIVE, frozenset({_C.PAUSED}), support=KATA)
    stop = Verb(Stop, Stopped, Concurrency.PREEMPTIVE, _THERE | {_C.STOPPED})
    delete = Verb(Delete, Nothing, Concurrency.PREEMPTIVE, frozenset({_C.STOPPED, _C.LOST}))
    # the guest forgets a stopped container; a frozen one's cgroup can be read and written
    update = Verb(Update, Nothing, Concurrency.EXCLUSIVE, _LIVE, plain=True, support=_GROUPS)
    # OCI allows an exec in a created container; in a paused one the child would start frozen
    exec = Verb(Exec, Nothing, Concurrency.SHARED, frozenset({_C.READY, _C.RUNNING}))
    # as for the sandbox
    disconnect = Verb(Nothing, Nothing, Concurrency.BESIDE, frozenset(_C), support=KATA)
    signal = Verb(Signal, Signalled, Concurrency.BESIDE, _THERE)
    winsize = Verb(Winsize, Nothing, Concurrency.BESIDE, _LIVE | {_C.STARTING})
    # waits for room while the process does not read: only the caller knows how long is too long
    write_stdin = Verb(WriteStdin, Written, Concurrency.BESIDE, _THERE, stoppable=True)
    close_stdin = Verb(ProcessRef, Nothing, Concurrency.BESIDE, frozenset(_C) - {_C.CREATING, _C.LOST})
    read_stdout = reading(ReadOutput, Nothing, streams=True)
    read_stderr = reading(ReadOutput, Nothing, streams=True)
    wait = reading(ProcessRef, ExitStatus)
    list_processes = reading(ListProcesses, ListedProcesses, _THERE, support=KATA)
    stats = reading(
        Nothing,
        ContainerStats,
        _THERE,
        plain=True,
        support=_GROUPS,
        step=StepWords(
            "What the container uses: cpu, memory, pids, block_io, huge_pages, network.",
            "{stats: one, save: {used: memory.usage.bytes}}",
            needs=("stats",),
        ),
    )
    info = reading(Nothing, Info)
    events = reading(Nothing, Nothing, streams=True)


SYSTEM_VERBS: Mapping[str, Verb[Any, Any]] = verbs_of(SystemVerbs)
CONTAINER_VERBS: Mapping[str, Verb[Any, Any]] = verbs_of(ContainerVerbs)
