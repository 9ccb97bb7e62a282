"""One simulated process, and the container that it is in. Records for the kernel; they decide nothing.

For the kernel and for programs, which read their own `argv`, `environment`, `cwd` and `caught`.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping

    from actors.simulation.kernel.calls import Body, Call
    from actors.simulation.kernel.files import OpenFile, Tree, Waiters
    from actors.simulation.kernel.kernel import Kernel
    from actors.simulation.kernel.terminal import Terminal

__all__ = ["Container", "Disposition", "Process"]


class Disposition(Enum):
    """What a process does with a signal; absent is the default."""

    IGNORE = "ignore"
    # told to the program through `Process.caught`
    CATCH = "catch"


class Container:
    """A control group and a pid namespace in one.

    Attributes:
        processes: by number; the first is the init, whose end ends all.
        frozen: none of them gets a step.
        oom_kills, cpu_seconds, memory_peak: counters, as a control group has them.
    """

    def __init__(self, name: str, tree: Tree, *, memory_limit: int | None, process_limit: int | None) -> None:
        self.name = name
        self.tree = tree
        self.memory_limit = memory_limit
        self.process_limit = process_limit
        self.processes: dict[int, Process] = {}
        self.frozen = False
        self.memory_bytes = 0
        self.memory_peak = 0
        self.oom_kills = 0
        self.cpu_seconds = 0.0
        self.next_pid = 1
        # whose turn came while they stood still, in that order
        self.held: dict[Process, None] = {}


class Process:
    """See the module. `kernel` is whose process it is."""

    def __init__(
        self,
        kernel: Kernel,
        container: Container,
        pid: int,
        parent: Process | None,
        argv: tuple[str, ...],
        environment: Mapping[str, str],
        cwd: str,
        pace: float,
    ) -> None:
        self.kernel = kernel
        self.container = container
        self.pid = pid
        self.parent = parent
        self.argv = argv
        self.environment = dict(environment)
        self.cwd = cwd
        # how long its work takes, against a machine of pace 1
        self.pace = pace
        self.body: Body | None = None
        self.files: dict[int, OpenFile] = {}
        self.terminal: Terminal | None = None
        self.children: dict[int, Process] = {}
        self.dispositions: dict[int, Disposition] = {}
        self.caught: deque[int] = deque()
        self.pending: deque[signal.Signals] = deque()
        # what it waits for: a call that is tried again, where, and what it will be sent or thrown
        self.call: Call | None = None
        self.waits_at: Waiters | None = None
        self.written = 0
        self.answer: object = None
        self.error: Exception | None = None
        self.queued = False
        self.timer = 0
        self.lag = 0.0
        self.memory = 0
        self.stopped = False
        self.status: int | None = None
        self.on_end: Callable[[int], None] | None = None

    @property
    def is_init(self) -> bool:
        """Whether it is the first of its container, whom nothing but SIGKILL from outside ends by default."""
        return self.pid == 1
