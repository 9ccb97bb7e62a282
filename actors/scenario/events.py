"""The journal: everything that happens in a run, as typed events that reports consume.

For the runner, which writes it, and reports, which listen. Times are seconds of the run's own clock, from
its start. Not for output itself: `Printed` tells listeners of it and is not kept.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec
import trio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "SEEN_KEPT",
    "AskRecord",
    "Event",
    "Failure",
    "Journal",
    "Outcome",
    "Printed",
    "RunEnded",
    "RunStarted",
    "Seen",
    "StateSeen",
    "StepEnded",
    "StepStarted",
    "Tail",
]

# what a failure shows of the past of a container
RECENT = 10
# of a step's value, in the journal
SEEN_KEPT = 500


class Outcome(StrEnum):
    """What became of a run or a step. `CANCELLED` is of steps alone: another's failure stopped it."""

    HELD = "held"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"
    CANCELLED = "cancelled"


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
    # every container of the file, as sandbox/container
    containers: tuple[str, ...]


class StepStarted(Event, frozen=True, kw_only=True, tag="step_started", omit_defaults=True):
    """`path` names the step in the file: `steps[2].while[0]`; `file` is there when it stands in another one."""

    path: str
    title: str
    line: int
    file: str = ""


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
    # what last happened to it, asks included, newest last, one line each
    events: tuple[str, ...] = ()


class Seen(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What came of a step, expected or not: what two runs of one file may be compared by.

    `value` is what `expect` and `save` see, cut to `SEEN_KEPT` characters; `error` the code of an error.
    """

    value: str | float | None = None
    exit: int | None = None
    state: str = ""
    error: str = ""


class StepEnded(Event, frozen=True, kw_only=True, tag="step_ended", omit_defaults=True):
    path: str
    title: str
    line: int
    file: str = ""
    outcome: Outcome
    seconds: float
    asks: tuple[AskRecord, ...] = ()
    seen: Seen | None = None
    failure: Failure | None = None
    # why it was skipped, though the run went on
    skipped: str = ""


class StateSeen(Event, frozen=True, kw_only=True, tag="state_seen"):
    """A sandbox or container came into a state."""

    name: str
    state: str


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
    """Keeps a run's events, all but the output, and tells each to `listener` at once.

    A listener is called from the task in which the event happens; it must not block.
    """

    def __init__(self, listener: Callable[[Event], None]) -> None:
        self._listener = listener
        self._began = trio.current_time()
        self._recent: dict[str, deque[str]] = {}
        self.events: list[Event] = []
        self.asks: list[AskRecord] = []

    def now(self) -> float:
        """Seconds since the run began."""
        return trio.current_time() - self._began

    def tell(self, event: Event) -> None:
        """Record one event."""
        if not isinstance(event, Printed):
            self.events.append(event)
        self._listener(event)

    def asked(self, record: AskRecord) -> None:
        """Remember an ask, for the failures of its container and for thresholds."""
        self.asks.append(record)
        self._remember(record.to, f"{record.verb}: {record.code or 'ok'} in {record.seconds * 1000:.1f} ms", self.now())

    def happened(self, address: str, what: str) -> None:
        """Remember something else about an actor."""
        self._remember(address, what, self.now())

    def _remember(self, address: str, what: str, at: float) -> None:
        self._recent.setdefault(address, deque(maxlen=RECENT)).append(f"{at:.3f} s: {what}")

    def recent(self, address: str) -> tuple[str, ...]:
        """What last happened to one actor, oldest first."""
        return tuple(self._recent.get(address, ()))
