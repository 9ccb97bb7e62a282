"""A run for programs: one JSON object; JUnit XML for CI systems, a suite with a test case for each case, in the families as classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Verdict
from actors.reporting.junit import Case as JunitCase
from actors.reporting.junit import Suite as JunitSuite
from actors.reporting.junit import Tag, junit_text
from actors.reporting.texts import json_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from actors.conformance.case import Case, Result
    from actors.conformance.report.base import SuiteRun

__all__ = ["as_json", "as_junit", "cases_json"]

# an agent that dies or hangs is no wrong answer
_TAGS: Mapping[Verdict, Tag] = {
    Verdict.WRONG_CODE: "failure",
    Verdict.FALLS_SHORT: "failure",
    Verdict.HUNG: "error",
    Verdict.AGENT_DIED: "error",
    Verdict.NOT_ASKED: "skipped",
    Verdict.UNSUPPORTED: "skipped",
}


def as_json(suite: SuiteRun) -> str:
    """`summary` has a count for each verdict; `cases` id, title, verdict, expected, seen and seconds of each; `known` the ids of
    those that fell short as was known, `known_that_hold` of those that were known to and hold by now;
    `notes` what all cases may suffer from."""
    document = {
        "agent": {"speaks": suite.protocol, "address": suite.address, "version": suite.version},
        "seconds": round(suite.seconds, 3),
        "summary": dict(suite.counts),
        "notes": list(suite.notes),
        "not_run": [case.id for case in suite.not_run],
        "known": [result.case.id for result in suite.known_failures],
        "known_that_hold": [result.case.id for result in suite.passing_known],
        "cases": [
            {
                "id": result.case.id,
                "title": result.case.title,
                "verdict": str(result.verdict),
                "expected": result.expected,
                "seen": result.seen,
                "seconds": round(result.seconds, 3),
            }
            for result in suite.results
        ],
    }
    return json_text(document)


def cases_json(cases: Iterable[Case]) -> str:
    """A list of what would be run: the texts of each case, what it needs of the guest, and whether it is destructive."""
    rows = [
        {
            "id": case.id,
            "title": case.title,
            "does": case.does,
            "expects": case.expects,
            "why": case.why,
            "needs": list(case.needs),
            "destructive": case.destructive,
        }
        for case in cases
    ]
    return json_text(rows)


def as_junit(suite: SuiteRun) -> str:
    """The document."""
    known = {result.case.id for result in suite.known_failures}
    cases = [_case(result, known=result.case.id in known) for result in suite.results]
    cases += [
        JunitCase(case.id.partition(".")[0], case.id, tag="skipped", message="interrupted before it was run")
        for case in suite.not_run
    ]
    properties = [("agent", suite.protocol), ("address", suite.address), ("version", suite.version)]
    properties += [("note", note) for note in suite.notes]
    document = JunitSuite(f"{suite.protocol} agent at {suite.address}", cases, suite.seconds, properties)
    return junit_text("katrio conformance", [document])


def _case(result: Result, *, known: bool) -> JunitCase:
    case = result.case
    classname, name = case.id.partition(".")[0], f"{case.id}: {case.title}"
    if result.verdict is Verdict.HOLDS:
        return JunitCase(classname, name, result.seconds)
    lines = (
        f"does     {case.does}",
        f"expected {result.expected}",
        f"seen     {result.seen}",
        f"why      {case.why}",
    )
    message = f"{'known: ' if known else ''}{result.verdict}: {result.seen}"
    tag = "skipped" if known else _TAGS[result.verdict]
    return JunitCase(classname, name, result.seconds, tag, message, "\n".join(lines))
