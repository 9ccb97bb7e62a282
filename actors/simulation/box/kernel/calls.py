"""System calls of simulated programs: a program yields one of these and is sent the result.

For programs, and for the kernel, which has one function for each. A call that has to wait blocks its process; a failed one
is raised in the program as `CallFailed`. Not for what programs do.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "PRIVATE_FD",
    "WAITS",
    "Allocate",
    "Body",
    "Call",
    "CallFailed",
    "ChangeDirectory",
    "ChangeMode",
    "Close",
    "Disposition",
    "Duplicate",
    "Ended",
    "Exec",
    "Handle",
    "Interrupted",
    "Kill",
    "ListDirectory",
    "ListProcesses",
    "MakeDirectory",
    "Now",
    "Open",
    "OpenText",
    "Pipe",
    "Program",
    "Read",
    "Remove",
    "SetTerminal",
    "Sleep",
    "Spawn",
    "Status",
    "Wait",
    "WindowSize",
    "Work",
    "Write",
]

# descriptors from here on are close-on-exec, and no child inherits them
PRIVATE_FD = 10

# a running program: yields calls, returns its exit code
Body: TypeAlias = Generator["Call", Any, int]
# a program before it runs: given its own `Process`, whose `argv` and `environment` it reads. That record holds what its calls
# are made of, and is not named here
Program: TypeAlias = Callable[[Any], Body]
# the result of a call that has to wait
WAITS = object()


class Disposition(Enum):
    """A process's disposition of a signal; absent: the default."""

    IGNORE = "ignore"
    # delivered to the program through `Process.caught`
    CATCH = "catch"


class CallFailed(Exception):
    """A call failed; `error` is its text as of strerror(3), such as `Broken pipe`."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class Interrupted(Exception):
    """A signal with a handler came while an interruptible call waited."""


@dataclass(frozen=True, slots=True)
class Call:
    """Base of all system calls. `cost`: seconds of CPU that it takes on a machine with the cost factor 1."""

    cost: ClassVar[float] = 20e-6


@dataclass(frozen=True, slots=True)
class Read(Call):
    """Read 1 to `size` bytes; empty at end of file."""

    cost: ClassVar[float] = 5e-6
    fd: int
    size: int
    interruptible: bool = False


@dataclass(frozen=True, slots=True)
class Write(Call):
    """Write all of `data`, blocking while there is no room. Fails with a signal of its own, or an error, when nobody can read it."""

    cost: ClassVar[float] = 5e-6
    fd: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Close(Call):
    """Close a descriptor; one that is not open is no error."""

    fd: int


@dataclass(frozen=True, slots=True)
class Open(Call):
    """A descriptor for a file; `how` is `r`, `w` (emptied), `a` (at its end) or `+` (to read and write)."""

    path: str
    how: str


@dataclass(frozen=True, slots=True)
class OpenText(Call):
    """A descriptor to read a text from that has no path: a here-document."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Duplicate(Call):
    """dup2(2): `to` becomes a copy of `fd`; None takes the first free one from 10 on, which no child inherits."""

    fd: int
    to: int | None


@dataclass(frozen=True, slots=True)
class Pipe(Call):
    """A new pipe of 64 KiB: (descriptor to read, descriptor to write), both from 10 on."""


@dataclass(frozen=True, slots=True)
class Remove(Call):
    """Remove a file, or an empty directory."""

    path: str


@dataclass(frozen=True, slots=True)
class MakeDirectory(Call):
    """Make one directory."""

    path: str


@dataclass(frozen=True, slots=True)
class ListDirectory(Call):
    """The sorted names in a directory."""

    path: str


@dataclass(frozen=True, slots=True)
class Status(Call):
    """stat(2): a `FileStatus`, or None if there is none."""

    path: str


@dataclass(frozen=True, slots=True)
class ChangeDirectory(Call):
    """chdir(2); the normalised path."""

    path: str


@dataclass(frozen=True, slots=True)
class Sleep(Call):
    """Sleep; the time runs on while the process is frozen, as on Linux."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work(Call):
    """Use the processor for `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Now(Call):
    """Seconds since the machine was started."""


@dataclass(frozen=True, slots=True)
class Allocate(Call):
    """Allocate memory, or free it (negative); over the container's limit its largest process is killed."""

    size: int


@dataclass(frozen=True, slots=True)
class Spawn(Call):
    """A child: its number.

    `files`: its descriptor -> ours; None: what we have below 10. `background`: it ignores INT and QUIT, as a shell's
    `&` has it. `loaded`: a program that was looked up and loaded, against a mere fork.
    """

    program: Program
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    files: Mapping[int, int] | None = None
    background: bool = False
    loaded: bool = True
    own_session: bool = False


@dataclass(frozen=True, slots=True)
class Exec(Call):
    """execve(2); does not return."""

    program: Program
    argv: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ended:
    """A child's exit: its code, or 128 plus the signal that killed it, which is given then."""

    status: int
    signum: int = 0


@dataclass(frozen=True, slots=True)
class Wait(Call):
    """waitpid(2): a child's exit; `pid` None waits for all."""

    pid: int | None
    interruptible: bool = False


@dataclass(frozen=True, slots=True)
class ChangeMode(Call):
    """chmod(2): the nine permission bits."""

    path: str
    mode: int


@dataclass(frozen=True, slots=True)
class Kill(Call):
    """Signal a process of the container by its number; 0 only checks that it exists; -1 is all processes but the caller and the init."""

    pid: int
    signum: int


@dataclass(frozen=True, slots=True)
class Handle(Call):
    """sigaction(2): the disposition of a signal; None is the default."""

    signum: int
    disposition: Disposition | None


@dataclass(frozen=True, slots=True)
class ListProcesses(Call):
    """The processes of the container, by number: the kernel's own records, read-only."""


@dataclass(frozen=True, slots=True)
class WindowSize(Call):
    """Rows and columns of a descriptor's terminal."""

    fd: int


@dataclass(frozen=True, slots=True)
class SetTerminal(Call):
    """Switch echo or canonical mode of a descriptor's terminal; None leaves it."""

    fd: int
    echo: bool | None = None
    lines: bool | None = None
    rows: int | None = None
    columns: int | None = None
