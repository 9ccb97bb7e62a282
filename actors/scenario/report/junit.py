"""Runs as JUnit XML: a suite for each file, a case for each of its steps. For CI systems that show such files.

A case is called what its step is called in the file, before values are in, so that it has one name in every run; of several with
one name the second is `NAME (2)`.
A file that was skipped, or that came to grief before its first step, is one case of that kind.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from actors.reporting.junit import Case, Suite, Tag, junit_text
from actors.scenario.report.base import RunReport, is_reported, reasons
from actors.scenario.stage.events import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from actors.scenario.stage.events import StepEnded
    from actors.scenario.stage.results import Result

__all__ = ["TAGS", "JunitReport"]

TAGS: Mapping[Outcome, Tag] = {
    Outcome.FAILED: "failure",
    Outcome.ERROR: "error",
    Outcome.SKIPPED: "skipped",
    Outcome.CANCELLED: "skipped",
    Outcome.INTERRUPTED: "error",
}


class JunitReport(RunReport):
    """`text` is one document of all runs."""

    def __init__(self) -> None:
        self._results: list[Result] = []

    def result(self, result: Result) -> None:
        self._results.append(result)

    def text(self) -> str:
        """What there is by now."""
        return junit_text("katrio", [_suite(result) for result in self._results])


def _suite(result: Result) -> Suite:
    known = ((name, getattr(result, name)) for name in ("world", "agent", "engine", "seed", "trace_digest"))
    properties = [(name, str(value)) for name, value in known if value is not None]
    return Suite(result.name, list(_cases(result)), result.duration_s, properties, result.file)


def _cases(result: Result) -> Iterator[Case]:
    steps = [step for step in result.steps if is_reported(step)]
    names: Counter[str] = Counter()
    for step in steps:
        name = step.written or step.title
        names[name] += 1
        yield _case(result, step, name if names[name] == 1 else f"{name} ({names[name]})")
    # what no step of it says: skipped, no system, a threshold, the time was up
    if result.outcome is not Outcome.HELD and not any(step.outcome is result.outcome for step in steps):
        yield Case(result.file, "the scenario", tag=TAGS[result.outcome], message=result.reason)


def _case(result: Result, step: StepEnded, name: str) -> Case:
    if step.outcome is Outcome.HELD:
        return Case(result.file, name, step.seconds, line=step.line)
    message = step.skipped or "another step's failure stopped it"
    if step.failure is not None:
        message = f"expected {step.failure.expected}, saw {step.failure.seen}"
    text = "\n".join(reasons(step))
    return Case(result.file, name, step.seconds, TAGS[step.outcome], message, text, step.line)
