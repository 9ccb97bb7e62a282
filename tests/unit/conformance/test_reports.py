"""What is told of a run: JSON, JUnit, the page and the table, of every verdict and of an agent with bad manners."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
import trio
from rich.console import Console

from actors.conformance.case import Case, Result, Verdict
from actors.conformance.catalogue import ALL
from actors.conformance.report.base import SuiteRun
from actors.conformance.report.html import as_html
from actors.conformance.report.programs import as_json, as_junit, cases_json
from actors.conformance.report.table import LiveProgress, print_cases, print_table

if TYPE_CHECKING:
    from trio.testing import MockClock

NASTY = "<script>alert(1)</script> \x1b[31m\x00 & more"


async def nothing(_: object) -> None:
    """A case that is told of and never run."""


def case(number: int) -> Case:
    return Case(
        id=f"family.case-{number}", title=f"title {number}", does="does", expects="expects", why="why", run=nothing
    )


@pytest.fixture
def suite() -> SuiteRun:
    results = [
        Result(case(number), verdict, "" if verdict is Verdict.HOLDS else "expected", NASTY, 0.5)
        for number, verdict in enumerate(Verdict)
    ]
    return SuiteRun("kata ttrpc", "unix:///run/x", NASTY, results, [case(9)], 12.345)


def test_a_list_of_cases_has_their_texts_and_no_verdict() -> None:
    rows = json.loads(cases_json(ALL))
    assert [row["id"] for row in rows] == [case.id for case in ALL]
    assert rows[0].keys() == {"id", "title", "does", "expects", "why", "needs", "destructive"}


def test_json_is_one_object_with_a_count_for_each_verdict(suite: SuiteRun) -> None:
    document = json.loads(as_json(suite))
    verdicts = ["holds", "unsupported", "wrong code", "falls short", "hung", "agent died", "not asked"]
    assert document["summary"] == dict.fromkeys(verdicts, 1)
    assert document["not_run"] == ["family.case-9"]
    first, *_, last = document["cases"]
    assert set(first) == {"id", "title", "verdict", "expected", "seen", "seconds"}
    assert (last["verdict"], last["seen"], last["seconds"]) == ("not asked", NASTY, 0.5)


def test_junit_tells_wrong_answers_from_none(suite: SuiteRun) -> None:
    found = ElementTree.fromstring(as_junit(suite)).find("testsuite")
    assert found is not None
    counts = {name: found.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "8", "failures": "2", "errors": "2", "skipped": "3"}
    failure = found.find("testcase/failure")
    assert failure is not None
    assert "<script>" in (failure.get("message") or "")
    assert "\x1b" not in (failure.get("message") or "")


def test_the_page_shows_all_and_runs_nothing(suite: SuiteRun) -> None:
    page = as_html(suite)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    for number in (*range(7), 9):
        assert f"family.case-{number}" in page
    assert page.index("What does not hold") < page.index('<td class="id">')


def printed(suite: SuiteRun, *, terminal: bool) -> str:
    out = io.StringIO()
    print_table(Console(file=out, force_terminal=terminal, width=60, highlight=False), suite)
    return out.getvalue()


def test_the_table_ends_with_what_does_not_hold_and_the_counts(suite: SuiteRun) -> None:
    lines = printed(suite, terminal=False).splitlines()
    assert lines[-1] == (
        "7 cases in 12.3 s: 1 holds, 1 unsupported, 1 wrong code, 1 falls short, 1 hung, 1 agent died, 1 not asked; "
        "1 not run: interrupted"
    )
    starts = [line for line in lines if line.startswith(tuple(Verdict))]
    assert [line[:11].strip() for line in starts] == [*Verdict]
    assert any("why" in line for line in lines)


def test_why_many_were_not_asked_is_told_once() -> None:
    lost, other = "the agent hangs since family.case-9", "a fresh agent could not be had"
    results = [
        Result(case(number), Verdict.NOT_ASKED, "expected", lost if number < 5 else other, 0) for number in range(7)
    ]
    suite = SuiteRun("kata ttrpc", "unix:///run/x", "", results, [], 1)
    text = printed(suite, terminal=False)
    assert (text.count(lost), text.count(other)) == (1, 1)
    # below those that it is true of
    assert text.index("family.case-4") < text.index(lost) < text.index("family.case-5") < text.index(other)
    new_failures = as_html(suite).partition('<td class="id">')[0]
    assert (new_failures.count(lost), new_failures.count(other)) == (1, 1)
    assert all(f"family.case-{number}" in page for number in range(7) for page in (text, new_failures))


@pytest.mark.parametrize("terminal", [True, False])
def test_an_agents_words_move_no_cursor(suite: SuiteRun, terminal: bool) -> None:
    text = printed(suite, terminal=terminal)
    assert "alert(1)" in text
    assert "\x1b[31m\x00" not in text
    assert "\x00" not in text


def test_the_list_says_what_each_case_does_and_why() -> None:
    out = io.StringIO()
    print_cases(Console(file=out, width=60, highlight=False), ALL)
    for each in ALL:
        assert all(words in out.getvalue() for words in (each.id, each.title, each.does, each.expects, each.why))


async def test_what_is_under_way_is_shown_and_goes_away(suite: SuiteRun, autojump_clock: MockClock) -> None:
    out = io.StringIO()
    live = LiveProgress(Console(file=out, force_terminal=True, width=60), 8)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(live.run)
        live.started(case(1))
        await trio.sleep(0.5)
        assert "family.case-1" in out.getvalue()
        for result in suite.results:
            live.ended(result)
        await trio.sleep(0.5)
        nursery.cancel_scope.cancel()
    assert "7 of 8" in out.getvalue()
    assert "hung" in out.getvalue()
