"""What a report is, and the words that reports share.

For reports. Not for running a scenario.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.reporting.base import Report
from actors.reporting.texts import counted
from actors.scenario.stage.events import Outcome, Printed
from actors.scenario.stage.results import judgement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from actors.reporting.files import ReportFiles
    from actors.scenario.report.summary import Total
    from actors.scenario.stage.events import Event, StepEnded
    from actors.scenario.stage.results import Result

__all__ = [
    "BufferedEvents",
    "RunReport",
    "SeveralReports",
    "agent_words",
    "headline",
    "is_reported",
    "last_line",
    "outcome_counts",
    "reasons",
    "threshold_lines",
    "where",
]


# of what the processes of one run print, while its events are gathered; in bytes
OUTPUT_KEPT = 1024 * 1024


class RunReport(Report):
    """Shows one run after the other."""

    def event(self, event: Event) -> None:
        """Something happened; the journal's listener."""

    def watch(self, name: str) -> Callable[[Event], None] | None:
        """A listener for one of several runs that go on at once, by its scenario's name; None: nothing of them is shown until they end."""
        return None

    def result(self, result: Result) -> None:
        """A run has ended."""

    def total(self, total: Total) -> None:
        """All runs have ended, of which there were several. Whoever reads a file can add."""


class SeveralReports(RunReport):
    """Reports of the same runs, and files that are written when they are closed. The first is the one for people: it alone gets
    notices and the total, and its `run`."""

    def __init__(self, first: RunReport, others: Sequence[RunReport], files: ReportFiles) -> None:
        self._first = first
        self._all = (first, *others)
        self._files = files

    def event(self, event: Event) -> None:
        for report in self._all:
            report.event(event)

    def watch(self, name: str) -> Callable[[Event], None] | None:
        return self._first.watch(name)

    def result(self, result: Result) -> None:
        for report in self._all:
            report.result(result)

    def total(self, total: Total) -> None:
        self._first.total(total)

    def notice(self, text: str) -> None:
        self._first.notice(text)

    async def run(self) -> None:
        await self._first.run()

    def close(self) -> None:
        for report in self._all:
            report.close()
        self._files.write()


class BufferedEvents:
    """The events of one of several parallel runs, until it can be reported as a whole. `also` gets each at once, as well."""

    def __init__(self, also: Callable[[Event], None] | None) -> None:
        self._also = also
        self._events: list[Event] = []
        self._printed = 0

    def add(self, event: Event) -> None:
        """Keep an event."""
        if self._also is not None:
            self._also(event)
        if isinstance(event, Printed):
            self._printed += len(event.data)
            if self._printed > OUTPUT_KEPT:
                return
        self._events.append(event)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)


def headline(name: str, file: str) -> str:
    """The first line of a run."""
    return f"{name} ({file})"


def agent_words(agent: str) -> str:
    """Which agent it was; a system of another program does not say which one is behind it."""
    return "another program's agent" if agent == "unknown" else f"{agent} agent"


def outcome_counts(ended: Sequence[Outcome]) -> Mapping[str, int]:
    """How many of each there are, also of those that there are none of."""
    return {str(outcome): ended.count(outcome) for outcome in Outcome}


def last_line(result: Result) -> str:
    """What held, or why not, and where: the last line of a run."""
    top = [step for step in result.steps if _is_top(step)]
    number = sum(1 for step in top if step.outcome is Outcome.HELD)
    skipped = sum(1 for step in top if step.skipped)
    steps = f"{counted(number, 'step')}{f', {skipped} skipped' if skipped else ''}"
    seed = "" if result.seed is None else f"seed {result.seed}"
    slow = "" if result.slow == 1 else f"slow {result.slow:g}"
    engine = "" if result.engine in (None, result.world) else str(result.engine)
    where = ", ".join(part for part in (f"{result.world} world", agent_words(result.agent), engine, seed, slow) if part)
    if result.outcome is Outcome.HELD:
        return f"held: {steps}{',' if skipped else ''} in {result.duration_s:.1f} s, {where}"
    return f"{result.outcome}: {result.reason} (after {steps}, {result.duration_s:.1f} s, {where})"


def threshold_lines(result: Result) -> Iterator[str]:
    """Each threshold with what it was."""
    for one in result.thresholds:
        yield f"{'held' if one.held else 'failed':<9} threshold {one.threshold}: {judgement(one)}"


def is_reported(step: StepEnded) -> bool:
    """A step of the file's own list, or an inner one that explains why its outer one did not hold."""
    return _is_top(step) or step.failure is not None


def where(step: StepEnded) -> str:
    """The line of a step, with the file if that is another one than the scenario's."""
    return f"{step.file}:{step.line}" if step.file else f"line {step.line}"


def _is_top(step: StepEnded) -> bool:
    return "." not in step.path


def reasons(step: StepEnded) -> Iterator[str]:
    """Why a step did not hold, a line each: expected, seen, the last output and events."""
    if step.skipped:
        yield step.skipped
    failure = step.failure
    if failure is None:
        return
    yield f"expected {failure.expected}"
    yield f"saw      {failure.seen}"
    if failure.at:
        yield f"at       {failure.at}"
    for tail in failure.tails:
        yield f"the last of {tail.process}'s {tail.stream}:"
        yield from (f"  | {line}" for line in tail.text.splitlines())
    if failure.events:
        yield f"what last happened to {failure.about or 'it'}:"
        yield from (f"  {event}" for event in failure.events)
