"""Several runs as one: how many held, and how long each verb took in all of them.

Pure. For reports, at the end of a command with more than one run. The times are those of asks that were answered, from the
request to its answer; an error that a step expected is none. Not for thresholds, which are a single run's.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from actors.reporting.texts import duration, tally
from actors.scenario.stage.results import percentile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.scenario.stage.events import AskRecord
    from actors.scenario.stage.results import Result

__all__ = ["Total", "Totals", "VerbSummary", "summarised"]


class VerbSummary(msgspec.Struct, frozen=True, kw_only=True):
    """All asks of one verb; times in seconds, None when none was answered."""

    count: int
    errors: int
    p50_s: float | None
    p90_s: float | None
    p95_s: float | None
    max_s: float | None


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """The last object of `--json`: how many runs there were to be, what became of them, and the verbs of all of them.

    In `verbs` those of containers have their plain names, those of sandboxes begin with `sandbox `.
    """

    event: str = "total"
    runs: int
    outcomes: dict[str, int]
    # of all runs together, however many of them went on at once
    duration_s: float
    verbs: dict[str, VerbSummary]


@dataclass(slots=True)
class _Asked:
    count: int = 0
    errors: int = 0
    # 8 bytes an ask
    times: array[float] = field(default_factory=lambda: array("d"))


@dataclass(slots=True)
class Totals:
    """Collects results; `planned` is how many there will be when nothing stops them."""

    planned: int
    _outcomes: Counter[str] = field(default_factory=Counter[str])
    _seconds: float = 0.0
    _asked: dict[str, _Asked] = field(default_factory=dict[str, _Asked])

    def add(self, result: Result) -> None:
        """One more run."""
        self._outcomes[str(result.outcome)] += 1
        self._seconds += result.duration_s
        for asks in (result.asks, *(step.asks for step in result.steps)):
            for ask in asks:
                self._add(ask)

    def _add(self, ask: AskRecord) -> None:
        # a sandbox's start is a guest's, and takes a hundred times as long as a container's
        asked = self._asked.setdefault(ask.verb if "/" in ask.to else f"sandbox {ask.verb}", _Asked())
        asked.count += 1
        if not ask.code:
            asked.times.append(ask.seconds)
        elif not ask.expected:
            asked.errors += 1

    def total(self) -> Total | None:
        """What there is to say; None: there was one run to do, or none has ended."""
        if self.planned < 2 or not self._outcomes:
            return None
        return Total(
            runs=self.planned,
            outcomes=dict(self._outcomes),
            duration_s=round(self._seconds, 6),
            verbs={verb: _verb(asked) for verb, asked in sorted(self._asked.items())},
        )


def _verb(asked: _Asked) -> VerbSummary:
    times = sorted(asked.times)
    p50, p90, p95, most = (percentile(times, share) if times else None for share in (50, 90, 95, 100))
    return VerbSummary(count=asked.count, errors=asked.errors, p50_s=p50, p90_s=p90, p95_s=p95, max_s=most)


def summarised(total: Total) -> Iterator[str]:
    """For people, a line each."""
    ended = sum(total.outcomes.values())
    rest = f", {total.runs - ended} not run" if ended < total.runs else ""
    yield f"total: {total.runs} runs: {tally(total.outcomes)}{rest}; {total.duration_s:.1f} s together"
    if not total.verbs:
        return
    width = max(len("ask"), *map(len, total.verbs))
    yield f"  {'ask':<{width}}  {'count':>7}  {'errors':>6}" + "".join(
        f"  {name:>8}" for name in ("p50", "p90", "p95", "max")
    )
    for verb, one in total.verbs.items():
        times = "".join(
            f"  {'-' if seconds is None else duration(seconds):>8}"
            for seconds in (one.p50_s, one.p90_s, one.p95_s, one.max_s)
        )
        yield f"  {verb:<{width}}  {one.count:>7}  {one.errors:>6}{times}"
