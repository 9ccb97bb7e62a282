"""Who runs next, and what time it is: the one place that touches Trio's private names.

Theory of operation. Trio runs in passes: all tasks that can run, one step each. `_run._ALLOW_DETERMINISTIC_SCHEDULING` makes it
sort a pass's tasks by their creation and hand them to `_run._r.shuffle`; `Scheduler` stands in for `_r`, shuffles from the seed,
and records it in the trace. Time is `VirtualClock`, a public `trio.abc.Clock`: Trio asks it how long to sleep only when no task can run,
and it answers 0 after a jump to the next deadline. So a run is a function of its seed, as long as nothing else decides an order
or a time: the fence (`fence`) refuses the calls that would, and a test compares runs.

A run that makes no progress is reported and not waited for: `stuck` is called when every task waits and no timer runs, when nothing but
timers beyond the horizon are left, and after 200,000 passes at one time. All is restored after the run. Not for reports.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import re
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

import trio
from trio._core import _run  # pyright: ignore[reportPrivateImportUsage]  # see the module

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Generator

    from actors.simulation.trace import Trace

__all__ = ["TESTED_TRIO", "Scheduler", "UnsupportedTrio", "VirtualClock", "check_trio", "installed"]

# Trio's releases whose private names were looked at: from, and below which. Change it when tests/simulation holds.
TESTED_TRIO = ("0.35.0", "0.36")
# passes without any time going by, after which nothing else will come either
_PASSES_AT_ONE_TIME = 200_000
# of a task whose function is an object: Trio takes its repr for a name
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
# virtual, beyond the horizon
_ENDING_SECONDS = 600.0


class UnsupportedTrio(RuntimeError):
    """This release of Trio can't be made deterministic by the names that we know."""


class _Task(Protocol):
    _counter: int
    name: str


class Scheduler:
    """What stands in for Trio's own generator: `shuffle` decides the order of one pass.

    Args:
        generator: the order comes from it.
        trace: told every task step.
        stuck: told why, when passes follow each other without end and no time goes by.
    """

    def __init__(self, generator: random.Random, trace: Trace, stuck: Callable[[str], None]) -> None:
        self._generator = generator
        self._trace = trace
        self._stuck = stuck
        # Trio counts tasks through all runs of a process; ours begin at 0
        self._first = -1
        self._newest = -1
        self._passes = 0

    def shuffle(self, batch: list[Any]) -> None:
        """Put one pass's tasks into the order in which they run; Trio takes them from the end."""
        if len(batch) == 1:
            # most passes: nothing to order
            counter = batch[0]._counter
            if counter > self._newest:
                self._name_new(batch)
            self._trace.step(counter - self._first)
        elif batch:
            self._generator.shuffle(batch)
            counters = [task._counter for task in batch]
            if max(counters) > self._newest:
                self._name_new(batch)
            first = self._first
            self._trace.batch([counter - first for counter in reversed(counters)])
        self._passes += 1
        if self._passes > _PASSES_AT_ONE_TIME:
            self._passes = 0
            self._stuck("tasks wake each other without end, and no time goes by")

    def time_passed(self) -> None:
        """The clock has moved."""
        self._passes = 0

    def random(self) -> float:
        """Part of Trio's generator."""
        return self._generator.random()

    def uniform(self, low: float, high: float) -> float:
        """Part of Trio's generator."""
        return self._generator.uniform(low, high)

    def _name_new(self, batch: list[_Task]) -> None:
        if self._first < 0:
            self._first = min(task._counter for task in batch)
        for task in sorted(batch, key=lambda task: task._counter):
            if task._counter > self._newest:
                self._newest = task._counter
                self._trace.task(task._counter - self._first, _ADDRESS.sub("", task.name))


class VirtualClock(trio.abc.Clock):
    """Time that goes by only when nothing can happen without it; then it jumps to the next deadline.

    Args:
        horizon: seconds after which a run is given up.
        trace, scheduler: told of every jump.
        stuck: told why, when there is nothing to jump to. It must see that something can run.
    """

    def __init__(self, horizon: float, trace: Trace, scheduler: Scheduler, stuck: Callable[[str], None]) -> None:
        self.now = 0.0
        self._horizon = horizon
        self._trace = trace
        self._scheduler = scheduler
        self._stuck = stuck
        self._steps_when_idle = -1

    def start_clock(self) -> None:
        """See `trio.abc.Clock`."""

    def current_time(self) -> float:
        """Virtual seconds since the start."""
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Jump there. Trio calls this only when no task can run."""
        if deadline == inf:
            # Trio may have woken itself over its own socket, which it reads only after this
            if self._steps_when_idle == self._trace.steps:
                self._stuck("everything waits, and no timer runs")
            self._steps_when_idle = self._trace.steps
        elif deadline > self._horizon:
            self._stuck(f"nothing but timers beyond {self._horizon:g} s, the end of a simulation")
            # for what cleans up
            self._horizon = self.now + _ENDING_SECONDS
        elif deadline > self.now:
            self.now = deadline
            self._trace.time(deadline)
            self._scheduler.time_passed()
        return 0.0


def check_trio() -> None:
    """Raises: UnsupportedTrio when this release was not looked at, or lacks a name; says what to do."""
    low, high = (_release(version) for version in TESTED_TRIO)
    what = f"Trio {trio.__version__}: the simulation was made for {TESTED_TRIO[0]} up to {TESTED_TRIO[1]}"
    if not low <= _release(trio.__version__) < high:
        raise UnsupportedTrio(
            f"{what}; install one of those, or run tests/simulation and widen TESTED_TRIO ({__name__})"
        )
    random_source: Any = getattr(_run, "_r", None)
    flag: Any = getattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", None)
    if (
        not isinstance(flag, bool)
        or not hasattr(random_source, "shuffle")
        or not hasattr(trio.lowlevel.Task, "_counter")
    ):
        raise UnsupportedTrio(f"{what}, and its private names have moved: see {__name__}")


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


@contextmanager
def installed(scheduler: Scheduler) -> Generator[None]:
    """Make Trio's runs of this process ask `scheduler`, for as long as this is entered.

    Raises:
        UnsupportedTrio: see `check_trio`; also at the end, when no pass came by.
        RuntimeError: another simulation runs in this process.
    """
    check_trio()
    private: Any = _run
    before = private._ALLOW_DETERMINISTIC_SCHEDULING, private._r
    if isinstance(before[1], Scheduler):
        raise RuntimeError("a simulation runs in this process already; one at a time, or more processes")
    private._ALLOW_DETERMINISTIC_SCHEDULING, private._r = True, scheduler
    try:
        yield
    finally:
        private._ALLOW_DETERMINISTIC_SCHEDULING, private._r = before
    if scheduler._newest < 0:
        raise UnsupportedTrio(f"Trio {trio.__version__} did not ask for the order of its tasks: see {__name__}")
