"""The file of what is known of an agent: what it may say, and what it makes of a result."""

from __future__ import annotations

import json

import pytest

from actors.conformance.case import Case, Result, Verdict
from actors.conformance.known import is_known, read_known
from actors.conformance.report.base import SuiteRun, summary_line
from actors.conformance.report.html import as_html
from actors.conformance.report.programs import as_json, as_junit
from actors.errors import InvalidArgument

CASES = ("start.twice-refused", "wait.again", "exec.user")
TEXT = """
# of today's agent
start.twice-refused   hung        # its fifo
wait.again
\texec.user falls short
"""


async def nothing(_: object) -> None:
    """A case that is told of and never run."""


def result(name: str, verdict: Verdict) -> Result:
    return Result(
        Case(id=name, title="t", does="d", expects="e", why="w", run=nothing), verdict, "e", f"of {name}", 0.1
    )


def test_the_rows_are_read() -> None:
    known = {"start.twice-refused": Verdict.HUNG, "wait.again": None, "exec.user": Verdict.FALLS_SHORT}
    assert read_known(TEXT, "k", CASES) == known
    assert read_known("", "k", CASES) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("start.twice", "k:1: there is no case 'start.twice'"),
        ("wait.again\n\nwait.again hung", "k:3: wait.again stands there twice"),
        ("wait.again hanging", "k:1: 'hanging' is none of wrong code, falls short"),
        ("wait.again holds", "k:1: 'holds' is none of"),
    ],
)
def test_a_row_that_can_not_be_meant_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said.replace("(", r"\(")):
        read_known(text, "k", CASES)


@pytest.mark.parametrize("verdict", Verdict)
def test_what_is_known(verdict: Verdict) -> None:
    known = {"a.any": None, "a.hung": Verdict.HUNG, "a.left": Verdict.NOT_ASKED}
    fault = verdict not in (Verdict.HOLDS, Verdict.UNSUPPORTED)
    assert is_known(result("a.any", verdict), known) is (fault and verdict is not Verdict.NOT_ASKED)
    assert is_known(result("a.hung", verdict), known) is (verdict is Verdict.HUNG)
    assert is_known(result("a.left", verdict), known) is (verdict is Verdict.NOT_ASKED)
    assert not is_known(result("a.other", verdict), known)


def test_reports_tell_news_from_what_is_known_and_what_holds_by_now() -> None:
    results = [
        result("wait.again", Verdict.FALLS_SHORT),
        result("exec.user", Verdict.HOLDS),
        result("start.twice-refused", Verdict.AGENT_DIED),
    ]
    suite = SuiteRun("kata ttrpc", "unix:///run/x", "", results, [], 1.0, read_known(TEXT, "k", CASES))
    # another verdict than the known one is news
    assert [each.case.id for each in suite.new_failures] == ["start.twice-refused"]
    document = json.loads(as_json(suite))
    assert (document["known"], document["known_that_hold"]) == (["wait.again"], ["exec.user"])
    assert summary_line(suite).endswith("; 1 known")
    assert as_junit(suite).count("<skipped") == 1
    page = as_html(suite)
    assert page.index("What does not hold") < page.index("of start.twice") < page.index("What is known not to hold")
    assert "and holds by now" in page
