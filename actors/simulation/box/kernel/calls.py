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

# descriptors from here on are a program's own: no child inherits them, and no exec keeps them
PRIVATE_FD = 10

# a running program: yields calls, returns its exit code
Body: TypeAlias = Generator["Call", Any, int]
# a program before it runs: given its own `Process`, whose `argv` and `environment` it reads. That record holds what its calls
# are made of, and is not named here
Program: TypeAlias = Callable[[Any], Body]
# the answer of a call that has to wait
WAITS = object()


class Disposition(Enum):
    """What a process does with a signal; absent is the default."""

    IGNORE = "ignore"
    # told to the program through `Process.caught`
    CATCH = "catch"


class CallFailed(Exception):
    """A call failed; `error` is the kernel's own word for it, such as `Broken pipe`."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class Interrupted(Exception):
    """A signal with a handler came while an interruptible call waited."""


@dataclass(frozen=True, slots=True)
class Call:
    """Any of them. `cost`: seconds of CPU that it takes on a machine with the cost factor 1."""

    cost: ClassVar[float] = 20e-6


@dataclass(frozen=True, slots=True)
class Read(Call):
    """At least one byte, at most `size`; empty is the end."""

    cost: ClassVar[float] = 5e-6
    fd: int
    size: int
    interruptible: bool = False


@dataclass(frozen=True, slots=True)
class Write(Call):
    """All of `data`, waiting for room. Fails with a signal of its own, or an error, when nobody can read it."""

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
    """A descriptor to read a text from that no name leads to: a here-document."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Duplicate(Call):
    """Make `to` stand for what `fd` stands for; None takes the first free one from 10 on, which no child inherits."""

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
    """What is there: a `FileStatus`, or None for nothing."""

    path: str


@dataclass(frozen=True, slots=True)
class ChangeDirectory(Call):
    """Work there from now on; the normal path of it."""

    path: str


@dataclass(frozen=True, slots=True)
class Sleep(Call):
    """Wait; time goes on while a process is frozen, as on Linux."""

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
    """Take memory (give it back: negative); over the container's limit the largest process of it is killed."""

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
    """Become another program; does not return."""

    program: Program
    argv: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended: its exit code, or 128 and the signal that killed it, which is named then."""

    status: int
    signum: int = 0


@dataclass(frozen=True, slots=True)
class Wait(Call):
    """How a child ended, once it has; `pid` None waits for all."""

    pid: int | None
    interruptible: bool = False


@dataclass(frozen=True, slots=True)
class ChangeMode(Call):
    """Who may do what with a file: the nine bits of its mode."""

    path: str
    mode: int


@dataclass(frozen=True, slots=True)
class Kill(Call):
    """Signal a process of the container by its number; 0 only looks whether it is there; -1 is everybody but us and the init."""

    pid: int
    signum: int


@dataclass(frozen=True, slots=True)
class Handle(Call):
    """What to do with a signal from now on; None is the default."""

    signum: int
    disposition: Disposition | None


@dataclass(frozen=True, slots=True)
class ListProcesses(Call):
    """The processes of the container, by number: the kernel's own records, to be read and left alone."""


@dataclass(frozen=True, slots=True)
class WindowSize(Call):
    """Rows and columns of the terminal behind a descriptor."""

    fd: int


@dataclass(frozen=True, slots=True)
class SetTerminal(Call):
    """Switch echo, or the gathering of lines, of the terminal behind a descriptor; None leaves it."""

    fd: int
    echo: bool | None = None
    lines: bool | None = None
    rows: int | None = None
    columns: int | None = None
