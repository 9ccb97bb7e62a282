"""One simulated process, and its container: records of the kernel, without behaviour of their own.

For the kernel and for programs, which read their own `argv`, `environment`, `cwd` and `caught`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.simulation.box.kernel.calls import Body, Call, Disposition, Program
    from actors.simulation.box.kernel.files import OpenFile, Waiters
    from actors.simulation.box.kernel.terminal import Terminal
    from actors.simulation.box.kernel.tree import Tree

__all__ = ["Container", "Identity", "Launch", "Process"]


class Scheduler(Protocol):
    """What a process, and the files and terminals that it waits at, need of the kernel."""

    now: float

    def wake(self, process: Process) -> None:
        """Have it retry its call."""
        ...

    def signal(self, process: Process, signum: int, *, inside: bool = False) -> None:
        """Deliver a signal."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """User and group ids; permissions are not checked."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Launch:
    """The initial state of a new process."""

    program: Program
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: str
    files: Mapping[int, OpenFile]
    identity: Identity = Identity()
    terminal: Terminal | None = None
    # of a program that was looked up and loaded, or of a mere fork
    loaded: bool = True


class Container:
    """A control group and a pid namespace in one.

    Attributes:
        processes: by number; the first is the init, whose end ends all.
        frozen: none of them gets a step.
        slowness: what a quota of processor time makes of every second of work.
        oom_kills, cpu_seconds, memory_peak, failed_charges: counters, as a control group has them.
    """

    def __init__(self, name: str, tree: Tree, *, hostname: str = "") -> None:
        self.name = name
        self.tree = tree
        self.hostname = hostname
        self.memory_limit: int | None = None
        self.process_limit: int | None = None
        self.quota_us: int | None = None
        self.period_us = 100_000
        self.slowness = 1.0
        self.processes: dict[int, Process] = {}
        self.frozen = False
        self.memory_bytes = 0
        self.memory_peak = 0
        self.failed_charges = 0
        self.oom_kills = 0
        self.cpu_seconds = 0.0
        self.next_pid = 1
        self.on_oom: Callable[[], None] | None = None
        # which were woken while frozen, in that order
        self.held: dict[Process, None] = {}


class Process:
    """See the module. `kernel` is whose process it is; `number` its number outside the container."""

    def __init__(
        self, kernel: Scheduler, container: Container, number: int, pid: int, launch: Launch, cost_factor: float
    ) -> None:
        self.kernel = kernel
        self.container = container
        self.number = number
        self.pid = pid
        self.parent: Process | None = None
        self.argv = launch.argv
        self.environment = dict(launch.environment)
        self.cwd = launch.cwd
        self.identity = launch.identity
        # its work takes this many times as long as its nominal cost
        self.cost_factor = cost_factor
        self.began = kernel.now
        self.cpu_seconds = 0.0
        self.body: Body | None = None
        self.files: dict[int, OpenFile] = {}
        self.terminal: Terminal | None = None
        self.children: dict[int, Process] = {}
        self.dispositions: dict[int, Disposition] = {}
        self.caught: deque[int] = deque()
        self.pending: deque[int] = deque()
        # what it waits for: a call that is tried again, where, how far it came, and what it will be sent or thrown
        self.call: Call | None = None
        self.waits_at: Waiters | None = None
        self.progress = 0
        self.answer: object = None
        self.error: Exception | None = None
        self.queued = False
        self.timer = 0
        self.lag = 0.0
        self.memory = 0
        # created, and not started yet
        self.started = True
        self.stopped = False
        self.status: int | None = None
        # the signal that did it
        self.killed_by = 0
        self.on_end: Callable[[int], None] | None = None

    def wake(self) -> None:
        """What it waits for has changed."""
        self.kernel.wake(self)

    def signal(self, signum: int) -> None:
        """Deliver one from its terminal."""
        self.kernel.signal(self, signum)

    @property
    def is_init(self) -> bool:
        """Whether it is the init of its container, which by default only SIGKILL from outside ends."""
        return self.pid == 1

    @property
    def state(self) -> str:
        """One letter, as `ps` has it."""
        if self.container.frozen:
            return "D"
        return "T" if self.stopped else "R" if self.queued or self.call is None else "S"
