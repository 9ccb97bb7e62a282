"""Ranges of seeds as files: JUnit, and a page. For `seeds_range`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.cli.seeds_report import alike, failed, lines, title
from actors.reporting.junit import Case, Suite, junit_text
from actors.reporting.page import badge, bar, joined, page, row, table, tag
from actors.reporting.texts import counted, tally
from actors.scenario.report.base import outcome_counts
from actors.scenario.report.junit import TAGS
from actors.scenario.report.lanes import OUTCOME_COLOURS
from actors.scenario.stage.events import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from actors.cli.seeds_report import Failing, Summary
    from actors.reporting.page import Markup

__all__ = ["ranges_junit", "ranges_page"]

# reasons on the page, each with its first seed; `--json` has more
SHOWN = 200


def ranges_junit(summaries: Sequence[Summary]) -> str:
    """A suite for each file: a case for the range, and one for each seed that did not hold."""
    return junit_text("katrio", [_suite(summary) for summary in summaries])


def ranges_page(summaries: Sequence[Summary]) -> str:
    """One page of all files."""
    return page("katrio run: ranges of seeds", _page(summaries))


def _outcome(summary: Summary) -> Outcome:
    """Of the whole range; what was not played may not hold."""
    early = summary.done < summary.planned and not summary.outcome.is_failure
    return Outcome.INTERRUPTED if early else summary.outcome


def _suite(summary: Summary) -> Suite:
    *_, said = lines(summary)
    # what failed is told by the seeds' own cases
    outcome = _outcome(summary)
    tag = TAGS[outcome] if outcome in (Outcome.SKIPPED, Outcome.INTERRUPTED) else None
    seeds = f"seeds {summary.first} to {summary.end - 1}"
    cases = [
        Case(summary.file, seeds, summary.duration_s, tag, said),
        *(_seed(summary, one) for one in summary.failing),
    ]
    properties = [("world", summary.world), ("agent", summary.agent), ("result", said)]
    return Suite(summary.name, cases, summary.duration_s, properties, summary.file)


def _seed(summary: Summary, one: Failing) -> Case:
    text = f"{one.reason}\nreplay: {one.replay}"
    return Case(summary.file, f"seed {one.seed}", tag=TAGS[Outcome(one.outcome)], message=one.reason, text=text)


def _page(summaries: Sequence[Summary]) -> Iterator[Markup]:
    counts = tally(outcome_counts([_outcome(summary) for summary in summaries]))
    yield tag("h1", f"katrio run: {counted(len(summaries), 'range')} of seeds: {counts or 'none begun'}")
    for summary in summaries:
        yield tag("article", "\n", joined(_article(summary), "\n"), "\n")


def _article(summary: Summary) -> Iterator[Markup]:
    *_, said = lines(summary)
    outcome = _outcome(summary)
    yield tag("h2", badge(outcome, OUTCOME_COLOURS[outcome]), title(summary))
    yield tag("p", said, kind="soft")
    yield bar(summary.outcomes, OUTCOME_COLOURS)
    found = alike(summary)
    if found:
        rows = (
            row(
                badge(first.outcome, OUTCOME_COLOURS[first.outcome]),
                (str(number), "number"),
                joined((tag("pre", first.reason), tag("code", first.replay))),
            )
            for first, number in found[:SHOWN]
        )
        yield table(("", "seeds", "why, and the first of them again"), rows)
    told = sum(number for _, number in found[:SHOWN])
    if failed(summary) > told:
        yield tag("p", f"and {counted(failed(summary) - told, 'seed')} more that did not hold", kind="soft")
