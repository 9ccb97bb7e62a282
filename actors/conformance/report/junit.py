"""A run as JUnit XML: one suite, a test case for each case, in the families as classes. For CI systems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Verdict
from actors.reporting.junit import Case, Suite, Tag, junit_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.conformance.case import Result
    from actors.conformance.report.base import Told

__all__ = ["as_junit"]

# an agent that dies or hangs is no wrong answer
_TAGS: Mapping[Verdict, Tag] = {
    Verdict.WRONG_CODE: "failure",
    Verdict.FALLS_SHORT: "failure",
    Verdict.HUNG: "error",
    Verdict.AGENT_DIED: "error",
    Verdict.NOT_ASKED: "skipped",
    Verdict.UNSUPPORTED: "skipped",
}


def as_junit(told: Told) -> str:
    """The document."""
    known = {result.case.id for result in told.expected}
    cases = [_case(result, known=result.case.id in known) for result in told.results]
    cases += [
        Case(case.id.partition(".")[0], case.id, tag="skipped", message="interrupted before it was run")
        for case in told.not_run
    ]
    properties = [("agent", told.spoken), ("address", told.address), ("version", told.version)]
    properties += [("note", note) for note in told.notes]
    suite = Suite(f"{told.spoken} agent at {told.address}", cases, told.seconds, properties)
    return junit_text("katrio conformance", [suite])


def _case(result: Result, *, known: bool) -> Case:
    case = result.case
    classname, name = case.id.partition(".")[0], f"{case.id}: {case.title}"
    if result.verdict is Verdict.HOLDS:
        return Case(classname, name, result.seconds)
    lines = (
        f"does     {case.does}",
        f"expected {result.expected}",
        f"seen     {result.seen}",
        f"why      {case.why}",
    )
    message = f"{'known: ' if known else ''}{result.verdict}: {result.seen}"
    tag = "skipped" if known else _TAGS[result.verdict]
    return Case(classname, name, result.seconds, tag, message, "\n".join(lines))
