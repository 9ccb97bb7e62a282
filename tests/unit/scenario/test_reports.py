"""What is told of runs: JSON lines, JUnit, the page, plain lines; and what differs between two journals."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from actors.reporting.files import ReportFiles
from actors.scenario.report.base import BufferedEvents, RunReport, SeveralReports
from actors.scenario.report.diff import JournalError, compare, read_journal
from actors.scenario.report.html import HtmlReport
from actors.scenario.report.journal import JournalReport
from actors.scenario.report.junit import JunitReport
from actors.scenario.report.lines import JsonReport, PlainReport
from tests.support.kept import Kept
from tests.support.scenarios import Ran, run, scenario

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TextIO

    from trio.testing import MockClock


FAILING = """
- {exec: one, command: [print, "<script>alert(1)</script> \\x1b[31m"], as: loud}
- {wait: loud, expect: {exit: 7}}
- {pause: one}
"""


def record(report: RunReport, *runs: Ran) -> None:
    for ran in runs:
        for event in ran.events:
            report.event(event)
        report.result(ran.result)
    report.close()


def told(make: Callable[[TextIO], RunReport], *runs: Ran) -> str:
    """What a report writes of these runs."""
    file = Kept()
    record(make(file), *runs)
    return file.text or file.getvalue()


def whole(report: HtmlReport | JunitReport, *runs: Ran) -> str:
    """What there is to write in the end."""
    record(report, *runs)
    return report.text()


async def test_the_journal_has_a_line_for_everything(autojump_clock: MockClock) -> None:
    ran = await run(scenario(FAILING))
    lines: list[dict[str, Any]] = [json.loads(line) for line in told(JournalReport, ran).splitlines()]
    kinds = [line["event"] for line in lines]
    assert kinds[0] == "run_started"
    assert kinds[-2:] == ["run_ended", "result"]
    assert {"step_started", "step_ended", "state_seen", "printed"} <= set(kinds)
    assert next(line["text"] for line in lines if line["event"] == "printed").startswith("<script>")
    ended = next(line for line in lines if line.get("path") == "steps[1]" and line["event"] == "step_ended")
    assert (ended["outcome"], ended["seen"]["exit"]) == ("failed", 0)
    assert [ask["verb"] for ask in ended["asks"]] == ["wait"]


async def test_the_json_object_of_a_file(autojump_clock: MockClock) -> None:
    ran = await run(scenario("- {pause: one}"))
    result: dict[str, Any] = json.loads(told(lambda file: JsonReport(file, file), ran))
    wanted = {"outcome": "held", "world": "scripted", "agent": "scripted", "file": "file.yaml"}
    assert wanted.items() <= result.items()
    assert [step["outcome"] for step in result["steps"]] == ["held"]
    assert result["duration_s"] >= 0


async def test_junit_counts_and_says_why(autojump_clock: MockClock) -> None:
    failing, held = await run(scenario(FAILING)), await run(scenario("- {pause: one}"))
    skipped = await run(scenario("- {pause: one}"), lacks="pause")
    root = ElementTree.fromstring(whole(JunitReport(), failing, held, skipped))
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == ("4", "1", "0", "1")
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.get("message") == "expected exit 7, saw exit 0"
    assert "alert(1)" in str(failure.text)
    assert "lacks pause" in str(next(root.iter("skipped")).get("message"))


async def test_the_page_needs_nothing_else_and_lets_nothing_in(autojump_clock: MockClock) -> None:
    page = whole(HtmlReport(), await run(scenario(FAILING)), await run(scenario("- {pause: one}")))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search(r"(src|href)=|https?://|@import", page)
    assert page.count("<article>") == page.count("</article>") == 2
    assert page.count("<svg") == 2
    assert "box/one" in page
    assert "expected exit" in page
    assert "1 held, 1 failed" in page


async def test_plain_lines_carry_no_control_characters(autojump_clock: MockClock) -> None:
    text = told(PlainReport, await run(scenario(FAILING)))
    assert "\x1b" not in text
    assert "expected exit 7" in text
    assert "what last happened" in text


async def test_several_reports_hear_the_same(autojump_clock: MockClock, tmp_path: Path) -> None:
    ran = await run(scenario(FAILING))
    one, two, page, files = Kept(), Kept(), HtmlReport(), ReportFiles()
    files.add(tmp_path / "page.html", page.text)
    told(lambda file: SeveralReports(PlainReport(file), [JournalReport(one), JournalReport(two), page], files), ran)
    assert one.text == two.text != ""
    assert (tmp_path / "page.html").read_text() == whole(HtmlReport(), ran)


async def test_gathered_events_are_bounded_by_what_is_printed(autojump_clock: MockClock) -> None:
    ran = await run(scenario("- {exec: one, command: [print, text], as: pp}\n- {wait: pp}"))
    outputs: list[object] = []
    gathered = BufferedEvents(outputs.append)
    for event in ran.events:
        gathered.add(event)
    assert list(gathered) == outputs == ran.events


async def test_a_journal_is_the_same_as_itself_and_differs_from_another(autojump_clock: MockClock) -> None:
    steps = "- {exec: one, command: [exit, '%s'], as: pp}\n- {wait: pp, save: code}\n- {stdout: pp}"
    one, other = [told(JournalReport, await run(scenario(steps % code))) for code in (3, 4)]
    left = read_journal(one.encode(), "one")
    assert list(compare(left, read_journal(one.encode(), "one"))) == []
    found = [difference for difference in compare(left, read_journal(other.encode(), "other")) if difference.counts]
    assert [(one.what, one.left, one.right) for one in found] == [("exit", "3", "4")]
    assert "wait pp" in found[0].step


async def test_what_json_prints_can_be_compared_as_well(autojump_clock: MockClock) -> None:
    ran = await run(scenario("- {pause: one}"))
    printed = told(lambda file: JsonReport(file, file), ran)
    journal = told(JournalReport, ran)
    assert list(compare(read_journal(printed.encode(), "a"), read_journal(journal.encode(), "b"))) == []


async def test_a_run_that_one_journal_lacks_is_told(autojump_clock: MockClock) -> None:
    journal = told(JournalReport, await run(scenario("- {pause: one}")))
    runs = read_journal(journal.encode(), "a")
    assert [(one.what, one.right) for one in compare(runs, [])] == [("run", "not there")]


@pytest.mark.parametrize(("data", "words"), [(b"", "no run"), (b"{", "a:1: found"), (b'{"event": 3}', "a:1: found")])
def test_a_file_that_is_no_journal_is_told(data: bytes, words: str) -> None:
    with pytest.raises(JournalError, match=words):
        read_journal(data, "a")
