"""What a simulated program may ask of the kernel: it yields one of these and is sent the answer.

For programs, and for the kernel, which has one method for each. A call that must wait keeps its process waiting; one
that fails is thrown into the program as `CallFailed`. Not for what programs do.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.simulation.kernel.process import Process

__all__ = [
    "Allocate",
    "Body",
    "Call",
    "CallFailed",
    "Close",
    "Exec",
    "Interrupted",
    "Kill",
    "Open",
    "Pipe",
    "Program",
    "Read",
    "Remove",
    "Sleep",
    "Spawn",
    "Wait",
    "WindowSize",
    "Work",
    "Write",
]

# a running program: yields calls, returns its exit code
Body = Generator["Call", Any, int]
# a program before it runs: given its own process, whose `argv` and `environment` it reads
Program = Callable[["Process"], Body]


class CallFailed(Exception):
    """A call failed; `error` is the kernel's own word for it, such as `Broken pipe`."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class Interrupted(Exception):
    """A signal with a handler came while an interruptible call waited."""


@dataclass(frozen=True, slots=True)
class Call:
    """Any of them. `cost`: seconds of CPU that it takes on a machine of pace 1."""

    cost: ClassVar[float] = 20e-6


@dataclass(frozen=True, slots=True)
class Read(Call):
    """At least one byte, at most `size`; empty is the end."""

    fd: int
    size: int
    interruptible: bool = False


@dataclass(frozen=True, slots=True)
class Write(Call):
    """All of `data`, waiting for room. Fails with a signal of its own, or an error, when nobody can read it."""

    fd: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Close(Call):
    """Close a descriptor; one that is not open is fine."""

    fd: int


@dataclass(frozen=True, slots=True)
class Open(Call):
    """A descriptor for a file; `how` is `r`, `w` or `a`."""

    path: str
    how: str


@dataclass(frozen=True, slots=True)
class Remove(Call):
    """Remove a file."""

    path: str


@dataclass(frozen=True, slots=True)
class Pipe(Call):
    """A new pipe of 64 KiB: (descriptor to read, descriptor to write)."""


@dataclass(frozen=True, slots=True)
class Sleep(Call):
    """Wait; time goes on while a process is frozen, as on Linux."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work(Call):
    """Use the processor for `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Allocate(Call):
    """Take memory; over the container's limit the largest process of it is killed."""

    size: int


@dataclass(frozen=True, slots=True)
class Spawn(Call):
    """A child: its number. `files`: its descriptor -> ours. `background`: ignores INT and QUIT, as a shell's `&` has it."""

    program: Program
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    files: Mapping[int, int]
    background: bool = False
    # of a program that was looked up and loaded, or of a mere fork
    loaded: bool = True


@dataclass(frozen=True, slots=True)
class Exec(Call):
    """Become another program; does not return."""

    program: Program
    argv: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Wait(Call):
    """The status of a child, once it has ended; `pid` None waits for all and gives 0."""

    pid: int | None
    interruptible: bool = False


@dataclass(frozen=True, slots=True)
class Kill(Call):
    """Signal a process of the container by its number; 0 only looks whether it is there."""

    pid: int
    signum: int


@dataclass(frozen=True, slots=True)
class WindowSize(Call):
    """Rows and columns of the terminal behind a descriptor."""

    fd: int
