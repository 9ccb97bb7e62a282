"""A run as one page that needs nothing else: counts, what does not hold and why, every case with what it does.

For people who read it later or elsewhere. Programs have `programs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Verdict
from actors.conformance.report.base import summary_line
from actors.reporting.page import badge, bar, facts, folded, joined, page, row, table, tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from actors.conformance.case import Case, Result
    from actors.conformance.report.base import SuiteRun
    from actors.reporting.page import Markup

__all__ = ["as_html"]

_COLOURS: Mapping[str, str] = {
    Verdict.HOLDS: "#1a7f37",
    Verdict.UNSUPPORTED: "#6e7781",
    Verdict.WRONG_CODE: "#bf5b04",
    Verdict.FALLS_SHORT: "#cf222e",
    Verdict.HUNG: "#9a6700",
    Verdict.AGENT_DIED: "#8250df",
    Verdict.NOT_ASKED: "#57606a",
}
_STYLE = """
table { table-layout: fixed; } th:nth-child(1) { width: 7rem; } th:nth-child(2) { width: 19rem; }
th:nth-child(3) { width: 5rem; text-align: right; }
"""


def as_html(suite: SuiteRun) -> str:
    """The page."""
    return page("katrio conformance", _page(suite), _STYLE)


def _page(suite: SuiteRun) -> Iterator[Markup]:
    yield tag("h1", f"katrio conformance: {suite.protocol}")
    version = (", which says it is ", tag("code", suite.version)) if suite.version else ()
    yield tag("p", "The agent at ", tag("code", suite.address), *version, ".", kind="why")
    yield tag("p", tag("strong", summary_line(suite)))
    yield from (tag("p", note) for note in suite.notes)
    yield bar(suite.counts, _COLOURS)
    if suite.new_failures:
        yield tag("h2", "What does not hold")
    yield from (_article(each) for each in suite.new_failures if each.verdict is not Verdict.NOT_ASKED)
    for why, not_asked in suite.not_asked.items():
        ids = joined((tag("code", each.case.id) for each in not_asked), ", ")
        yield tag("p", _badge(Verdict.NOT_ASKED), ids, f": {why}")
    if suite.known_failures:
        yield tag("h2", "What is known not to hold")
    yield from map(_article, suite.known_failures)
    yield from _ids("What was known not to hold, and holds by now", (each.case for each in suite.passing_known))
    for family, results in _families(suite.results):
        yield tag("h2", family)
        yield table(("", "id", "took", "what must hold"), map(_row, results))
    yield from _ids("Not run: interrupted", suite.not_run)


def _ids(head: str, cases: Iterable[Case]) -> Iterator[Markup]:
    if ids := ", ".join(case.id for case in cases):
        yield tag("h2", head)
        yield tag("p", ids, kind="soft")


def _badge(verdict: Verdict) -> Markup:
    return badge(verdict, _COLOURS[verdict])


def _article(result: Result) -> Markup:
    case = result.case
    suite = facts(
        ("case", joined((tag("code", case.id), f", {result.seconds:.2f} s"))),
        ("does", case.does),
        ("expected", result.expected),
        ("seen", tag("code", result.seen)),
        ("why", case.why),
    )
    return tag("article", "\n", tag("h3", _badge(result.verdict), case.title), suite, "\n")


def _row(result: Result) -> Markup:
    case = result.case
    suite = facts(
        ("does", case.does),
        ("expects", case.expects),
        ("seen", result.seen),
        ("needs", ", ".join(case.needs)),
        ("why", case.why),
    )
    took = (f"{result.seconds:.2f} s", "number")
    return row(_badge(result.verdict), (case.id, "id"), took, folded(case.title, suite))


def _families(results: Sequence[Result]) -> Iterator[tuple[str, list[Result]]]:
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.case.id.partition(".")[0], []).append(result)
    yield from found.items()
