"""One simulation: an async function under Trio, in virtual time, behind the fence, determined by a seed.

For the simulated world, tests, and anything else to be simulated. A deadlocked simulation ends at
once. One simulation at a time per process.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import trio

from actors.nurseries import plain_error
from actors.simulation.deadlock import Deadlock, blocked_tasks, open_shields
from actors.simulation.fence import fenced
from actors.simulation.schedule import Scheduler, VirtualClock, installed
from actors.simulation.seams import simulated_seams
from actors.simulation.seed import Draws, generator
from actors.simulation.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from actors.seams import Seams

__all__ = ["Ended", "Simulation", "current_simulation", "simulate"]

T = TypeVar("T")

# virtual; longer than any scenario, so that a program that sleeps for a year does not keep a run alive
HORIZON_SECONDS = 100_000.0
# the deadlock, counting from 1, at which shields are opened: shielded cleanup after the first may need time
_SHIELDS_OPEN_AT = 2


_CURRENT: trio.lowlevel.RunVar[Simulation | None] = trio.lowlevel.RunVar("simulation", None)


class Simulation:
    """What a simulated function can use."""

    def __init__(self, seed: int, trace: Trace) -> None:
        self.seed = seed
        self.trace = trace
        self.seams: Seams = simulated_seams(self.stream("product"), self.stream("ids"))

    def stream(self, name: str) -> Draws:
        """The random stream of that name, from its start: take each stream once."""
        return Draws(self.seed, name, self.trace.draw)


def current_simulation() -> Simulation | None:
    """The simulation that this code runs in; None outside of one."""
    return _CURRENT.get()


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """A simulation that ran to its end.

    Attributes:
        value: what the function returned.
        digest: of the trace; equal for identical runs.
        steps: task steps.
        seconds: virtual time.
    """

    value: T
    digest: str
    steps: int
    seconds: float


class _Supervision:
    """Ends a deadlocked run: by cancelling, then ignoring shields, finally by force."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.found: Deadlock | None = None
        self._times = 0

    def stuck(self, reason: str) -> None:
        self._times += 1
        if self.found is None:
            self.found = Deadlock(reason, blocked_tasks())
            self.scope.cancel()
        elif self._times == _SHIELDS_OPEN_AT:
            open_shields()
        elif self._times > _SHIELDS_OPEN_AT:
            raise Deadlock(f"{reason}, and cannot be cancelled", blocked_tasks())


def simulate(
    main: Callable[[Simulation], Awaitable[T]],
    seed: int,
    *,
    horizon: float = HORIZON_SECONDS,
    log: Callable[[str], None] | None = None,
) -> Ended[T]:
    """Run `main` to its end. `log` gets a line per trace entry.

    Raises:
        Deadlock: all tasks waited without a timer, or time reached `horizon`; says who waits for what.
        EscapedSimulation: a real call was made, whether or not its exception was swallowed.
        UnfitTrio: see `actors.simulation.schedule`.
        Exception: what `main` raised, unwrapped if it is a single one.
    """
    trace = Trace(log)
    supervision = _Supervision()
    scheduler = Scheduler(generator(seed, "schedule"), trace, supervision.stuck)
    clock = VirtualClock(horizon, trace, scheduler, supervision.stuck)

    async def root() -> T | None:
        simulation = Simulation(seed, trace)
        _CURRENT.set(simulation)
        with supervision.scope:
            return await main(simulation)
        return None

    failure: BaseException | None = None
    value: T | None = None
    with _no_collections(), installed(scheduler), fenced() as escaped:
        try:
            value = trio.run(root, clock=clock, strict_exception_groups=True)
        except BaseException as error:  # raised below, once everything is restored
            failure = error
    if escaped:
        raise escaped[0]
    if supervision.found is not None:
        found = supervision.found
        last = failure.__cause__ if isinstance(failure, trio.TrioInternalError) else None
        waiting = last.waiting if isinstance(last, Deadlock) else found.waiting
        raise Deadlock(found.reason, waiting, digest=trace.digest(), seconds=clock.now) from failure
    if isinstance(failure, BaseExceptionGroup):
        failure = plain_error(cast("BaseExceptionGroup[BaseException]", failure))
    if failure is not None:
        raise failure
    return Ended(value, trace.digest(), trace.steps, clock.now)  # type: ignore[arg-type]  # None only if main's value is


@contextmanager
def _no_collections() -> Generator[None]:
    """Garbage collection depends on memory use, and runs finalizers: it must not happen during a run."""
    enabled = gc.isenabled()
    gc.collect(1)
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
