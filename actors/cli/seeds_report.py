"""What is told of a range of seeds: its summary, as lines or as one JSON object a file.

For `seeds_range`. Not for terminals that can show a bar: `seeds_live`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.reporting.base import Report
from actors.reporting.texts import Lines, tally
from actors.scenario.stage.events import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from actors.cli.seeds_worker import SeedResult

__all__ = [
    "Failing",
    "JsonRange",
    "PlainRange",
    "RangeReport",
    "Summary",
    "alike",
    "failed",
    "lines",
    "title",
]

# reasons shown to a person, each with its first seed; and of one its lines
SHOWN = 10
_REASON_LINES = 6
# failing seeds kept for `--json`
_KEPT = 1000
_PLAIN_STEPS = 10


class Failing(msgspec.Struct, frozen=True):
    """A seed that did not hold."""

    seed: int
    outcome: str
    reason: str
    trace_digest: str | None
    replay: str


class Summary(msgspec.Struct, kw_only=True):
    """One file on a range of seeds: one object of `--json`. Seeds run from `first` up to and not including `end`.

    Fields may be added, none changes its meaning. `failing` are the first thousand in order of their end.
    """

    file: str
    name: str
    world: str = "simulated"
    agent: str
    first: int
    end: int
    outcome: Outcome = Outcome.HELD
    # of the seeds that were played: outcome -> how many
    outcomes: dict[str, int] = {}
    # of the first that was skipped
    skipped: str = ""
    failing: list[Failing] = []
    # different traces
    digests: int = 0
    steps: int = 0
    virtual_s: float = 0.0
    duration_s: float = 0.0

    @property
    def done(self) -> int:
        """Seeds that were played."""
        return sum(self.outcomes.values())

    @property
    def planned(self) -> int:
        """Seeds that there were to be played."""
        return self.end - self.first

    def add(self, result: SeedResult, replay: str, *, fresh: bool) -> None:
        """One seed more; `fresh`: no other had this trace."""
        self.digests += fresh
        outcome = Outcome(result.outcome)
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.steps += result.steps
        self.virtual_s = round(self.virtual_s + result.seconds, 6)
        if outcome is Outcome.SKIPPED:
            self.skipped = self.skipped or result.reason
        elif outcome is not Outcome.HELD and len(self.failing) < _KEPT:
            self.failing.append(Failing(result.seed, result.outcome, result.reason, result.digest, replay))
        self.outcome = next(
            each for each in (Outcome.ERROR, Outcome.FAILED, Outcome.HELD, Outcome.SKIPPED) if self.outcomes.get(each)
        )


class RangeReport(Report):
    """Shows one range after the other."""

    def begin(self, summary: Summary) -> None:
        """A file's range begins."""

    def seed(self, summary: Summary, result: SeedResult) -> None:
        """One seed has been played, and is in the summary."""

    def end(self, summary: Summary) -> None:
        """The range has ended, perhaps early."""


class JsonRange(RangeReport):
    """The summaries alone."""

    def __init__(self, stream: TextIO) -> None:
        self._out = Lines(stream)

    def end(self, summary: Summary) -> None:
        self._out.json(summary)


class PlainRange(RangeReport):
    """Ten lines of progress, each new reason as it is found, the summary."""

    def __init__(self, stream: TextIO) -> None:
        self._out = Lines(stream)
        self._told = 0
        self._reasons: set[str] = set()

    def begin(self, summary: Summary) -> None:
        self._told = 0
        self._reasons.clear()
        self._out.line(title(summary))

    def seed(self, summary: Summary, result: SeedResult) -> None:
        fresh = summary.failing and result.seed == summary.failing[-1].seed and result.reason not in self._reasons
        if fresh and len(self._reasons) < SHOWN:
            self._reasons.add(result.reason)
            self._out.line(f"  {result.outcome:<8} seed {result.seed}: {result.reason.splitlines()[0]}")
        tenth = summary.done * _PLAIN_STEPS // summary.planned
        if tenth > self._told:
            self._told = tenth
            self._out.line(f"  {summary.done} of {summary.planned} seeds, {failed(summary)} did not hold")

    def end(self, summary: Summary) -> None:
        for line in lines(summary):
            self._out.line(line)


def title(summary: Summary) -> str:
    """The first line of a range."""
    return f"{summary.name} ({summary.file}), seeds {summary.first} to {summary.end - 1}"


def failed(summary: Summary) -> int:
    """How many seeds did not hold."""
    return summary.outcomes.get(Outcome.FAILED, 0) + summary.outcomes.get(Outcome.ERROR, 0)


def alike(summary: Summary) -> list[tuple[Failing, int]]:
    """The first seed of each reason for which some did not hold, and how many those are."""
    found: dict[tuple[str, str], tuple[Failing, int]] = {}
    for failing in summary.failing:
        first, number = found.get((failing.outcome, failing.reason), (failing, 0))
        found[failing.outcome, failing.reason] = first, number + 1
    return list(found.values())


def lines(summary: Summary) -> Iterator[str]:
    """What came of it, for people: seeds that do not hold with the command for each, and one line of numbers."""
    told = 0
    for first, number in alike(summary)[:SHOWN]:
        head, *rest = first.reason.splitlines()
        many = f" and {number - 1} more" if number > 1 else ""
        yield f"{first.outcome} with seed {first.seed}{many}: {head}"
        yield from rest[: _REASON_LINES - 1]
        yield f"  replay: {first.replay}"
        told += number
    if failed(summary) > told:
        yield f"and {failed(summary) - told} more that did not hold; --json has them"
    rate = summary.done / summary.duration_s if summary.duration_s else 0.0
    early = "" if summary.done == summary.planned else f"interrupted after {summary.done} seeds; "
    counts = tally(dict(sorted(summary.outcomes.items()))) or "none was played"
    reason = f" ({summary.skipped})" if summary.skipped else ""
    yield (
        f"{early}{counts}{reason}: {summary.digests} different runs, {summary.virtual_s:.0f} s of virtual time"
        f" in {summary.duration_s:.1f} s, {rate:.0f} seeds/s"
    )
