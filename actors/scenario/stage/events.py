"""The journal: everything that happens in a run, as typed events that reports consume.

For the runner, which writes it, and reports, which listen. Times are seconds of the run's own clock, from
its start. Not for output itself: `Printed` reports it to listeners and is not kept.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec
import trio

from actors.reporting.texts import duration

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "SEEN_KEPT",
    "AskRecord",
    "Event",
    "Failure",
    "Happened",
    "Journal",
    "Noticed",
    "ObservedValues",
    "Outcome",
    "Printed",
    "RunEnded",
    "RunStarted",
    "StateObserved",
    "StepEnded",
    "StepStarted",
    "Tail",
]

# what a failure shows of the past of a container
RECENT = 10
# of a step's value, in characters: as much as is kept of an output. What all values of a run may have together
SEEN_KEPT, SEEN_KEPT_IN_ALL = 64 * 1024, 16 * 1024 * 1024


class Outcome(StrEnum):
    """What became of a run or a step. `CANCELLED` is of steps alone: another's failure stopped it; `INTERRUPTED` of runs."""

    HELD = "held"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def is_failure(self) -> bool:
        """Whether something did not hold, or could not be tried; a command stops at the first such run."""
        return self in (Outcome.FAILED, Outcome.ERROR)


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Something that happened, `at` seconds after the start."""

    at: float


class RunStarted(Event, frozen=True, kw_only=True, tag="run_started"):
    file: str
    name: str
    why: str
    world: str
    agent: str
    engine: str | None
    # top-level steps, and the seconds they have
    steps: int
    limit: float
    # every sandbox of the file, and every container as sandbox/container
    sandboxes: tuple[str, ...] = ()
    containers: tuple[str, ...]


class StepStarted(Event, frozen=True, kw_only=True, tag="step_started", omit_defaults=True):
    """`path` names the step in the file: `steps[2].while[0]`; `file` is there when it stands in another one.

    `title` has the values of `${name}` in; `written` is there where the file's own text is another.
    """

    path: str
    title: str
    line: int
    file: str = ""
    written: str = ""


class AskRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One ask of a step; `code` is the error's, empty when it was answered; `expected`: the step expects that code."""

    verb: str
    to: str
    at: float
    seconds: float
    code: str = ""
    expected: bool = False


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """The last lines that a process printed."""

    process: str
    stream: str
    text: str


class Happened(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened to an actor, `at` seconds after the start; `times`: so often in a row, this being the last."""

    at: float
    what: str
    times: int = 1

    def __str__(self) -> str:
        return f"{self.at:.3f} s: {self.what}{f' (the last of {self.times})' if self.times > 1 else ''}"


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a step did not hold."""

    expected: str
    seen: str
    code: str = ""
    # of a scenario that is a function: the line of its file, and the lines that led there
    at: str = ""
    tails: tuple[Tail, ...] = ()
    # the sandbox or container that the step was about
    about: str = ""
    # what last happened to it, asks included, newest last
    events: tuple[Happened, ...] = ()


class ObservedValues(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What came of a step, expected or not: what two runs of one file may be compared by.

    `value` is what `expect` and `save` see, whole; one that is too large is left out, and `left_out` is how many characters
    it has. `error` is the code of an error.
    """

    value: str | float | None = None
    left_out: int = 0
    exit: int | None = None
    state: str = ""
    error: str = ""


class StepEnded(Event, frozen=True, kw_only=True, tag="step_ended", omit_defaults=True):
    path: str
    title: str
    line: int
    file: str = ""
    written: str = ""
    outcome: Outcome
    seconds: float
    asks: tuple[AskRecord, ...] = ()
    seen: ObservedValues | None = None
    failure: Failure | None = None
    # why it was skipped, though the run went on
    skipped: str = ""


class StateObserved(Event, frozen=True, kw_only=True, tag="state_seen"):
    """A sandbox or container came into a state."""

    name: str
    state: str


class Noticed(Event, frozen=True, kw_only=True, tag="noticed", omit_defaults=True):
    """Something else that an actor reported: `exit` of a process (the empty name is its init's) with its `code`, `oom`."""

    name: str
    kind: str
    process: str = ""
    code: int | None = None


class Printed(Event, frozen=True, kw_only=True, tag="printed"):
    container: str
    process: str
    stream: str
    data: bytes


class RunEnded(Event, frozen=True, kw_only=True, tag="run_ended"):
    outcome: Outcome
    # empty when it held
    reason: str


class Journal:
    """Keeps a run's events, all but the output, and passes each to `listener` at once.

    A listener is called from the task in which the event happens; it must not block.
    """

    def __init__(self, listener: Callable[[Event], None]) -> None:
        self._listener = listener
        self._began = trio.current_time()
        self._recent: dict[str, deque[Happened]] = {}
        self._values = 0
        self.events: list[Event] = []
        self.asks: list[AskRecord] = []

    def now(self) -> float:
        """Seconds since the run began."""
        return trio.current_time() - self._began

    def record(self, event: Event) -> None:
        """Record one event."""
        if not isinstance(event, Printed):
            self.events.append(event)
        self._listener(event)

    def whole(self, seen: ObservedValues) -> ObservedValues:
        """With its value as it is, or without it: nobody gets a part of one."""
        size = len(seen.value) if isinstance(seen.value, str) else 0
        if size > SEEN_KEPT or self._values + size > SEEN_KEPT_IN_ALL:
            return msgspec.structs.replace(seen, value=None, left_out=size)
        self._values += size
        return seen

    def asked(self, record: AskRecord) -> None:
        """Remember an ask, for the failures of its container and for thresholds."""
        self.asks.append(record)
        same = f"{record.verb}: {record.code or 'ok'} in "
        self._remember(record.to, f"{same}{duration(record.seconds)}", same)

    def happened(self, address: str, what: str) -> None:
        """Remember something else about an actor."""
        self._remember(address, what, what)

    def _remember(self, address: str, what: str, same: str) -> None:
        """What begins with `same` and comes again and again, as the looks of a step do, is one entry: the last."""
        recent = self._recent.setdefault(address, deque(maxlen=RECENT))
        times = 1
        if recent and recent[-1].what.startswith(same):
            times += recent.pop().times
        recent.append(Happened(at=self.now(), what=what, times=times))

    def recent(self, address: str) -> tuple[Happened, ...]:
        """What last happened to one actor, oldest first."""
        return tuple(self._recent.get(address, ()))
