"""Every way out to a terminal, a log or a file: what steers a terminal or forges a line comes through none of them, and
what is for programs comes back as it was."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import traceback
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from actors.cli.call.answers import Answer, show
from actors.cli.call.arguments import Call
from actors.cli.log_lines import OneLine
from actors.cli.say import complain, report_error, say
from actors.cli.seeds_files import ranges_junit, ranges_page
from actors.cli.seeds_live import LiveRange
from actors.cli.seeds_report import JsonRange, PlainRange, Summary
from actors.cli.seeds_worker import SeedResult
from actors.conformance.case import Case, Verdict
from actors.conformance.case import Result as CaseResult
from actors.conformance.report.base import SuiteRun
from actors.conformance.report.html import as_html
from actors.conformance.report.programs import as_json, as_junit
from actors.conformance.report.table import LiveProgress, print_cases, print_table
from actors.errors import AgentError
from actors.node.protocols import GuestProtocol
from actors.scenario.reading.problems import Problem
from actors.scenario.reading.scenario import Loaded, Scenario
from actors.scenario.report.html import HtmlReport
from actors.scenario.report.journal import JournalReport
from actors.scenario.report.junit import JunitReport
from actors.scenario.report.lines import JsonReport, PlainReport
from actors.scenario.report.live import LiveReport
from actors.scenario.report.many import ManyReport
from actors.scenario.stage.events import (
    Failure,
    Happened,
    ObservedValues,
    Outcome,
    Printed,
    RunEnded,
    RunStarted,
    StateObserved,
    StepEnded,
    StepStarted,
    Tail,
)
from actors.scenario.stage.results import Result
from actors.schemas.naming import find_rpc
from actors.schemas.shapes import response_shape
from tests.support.kept import Kept
from transports.errors import RemoteProtocolError, RpcStatusError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from actors.scenario.report.base import RunReport

CONTROLS = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))]
UNSEEN = [*"\u034f\u061c\u180e\u200b\u200d\u200f\u2028\u2029\u202a\u202e\u2066\u2069\u3164\ufe0f\ufeff\U000e0001"]
# each before a sign of its own, so that what rich writes itself is not taken for it
EACH = "".join(f"{char}\N{SECTION SIGN}" for char in [*CONTROLS, *UNSEEN])
NASTY = f"{EACH}\x1b]52;c;QUJD\x07 \x9b31m\nheld: 7 steps\r\nkatrio: forged"
HALF = "\udc80\ud800"
FORGED = ("held: 7", "katrio: forged")


def check(out: str, *, half: bool = False, lines: str = "\n\t") -> None:
    """Nothing of it came through, and something of it is there."""
    raw = re.findall(f"[^\n{lines}](?=\N{SECTION SIGN})", out)
    assert not set(raw) & {*CONTROLS, *UNSEEN}, [hex(ord(char)) for char in raw]
    assert "\x1b]" not in out
    assert "\x9b" not in out
    assert "\\x1b" in out or "\\u001b" in out
    assert ("\\udc80" in out) or not half
    if lines == "":
        assert not [line for line in out.splitlines() if line.strip().startswith(FORGED)]
    out.encode()


FAILURE = Failure(
    expected=NASTY, seen=NASTY + HALF, at=NASTY, about=NASTY, events=(Happened(at=1.0, what=NASTY),), tails=(Tail(process=NASTY, stream="stdout", text=NASTY),)
)  # fmt: skip
STEP = StepEnded(
    at=1.0, path="steps[0]", title=NASTY + HALF, line=1, file=NASTY, outcome=Outcome.FAILED, seconds=0.5,
    seen=ObservedValues(value=NASTY), failure=FAILURE,
)  # fmt: skip
STARTED = RunStarted(
    at=0.0, file=NASTY, name=NASTY + HALF, why=NASTY, world=NASTY, agent=NASTY, engine=NASTY, steps=1, limit=9.0,
    containers=("box/one", f"box/{NASTY}"),
)  # fmt: skip
RESULT = Result(
    file=NASTY, name=NASTY + HALF, outcome=Outcome.FAILED, world=NASTY, agent=NASTY, engine=NASTY, duration_s=1.0,
    reason=NASTY, steps=(STEP,),
)  # fmt: skip
EVENTS = [
    STARTED,
    StateObserved(at=0.1, name="box/one", state=NASTY),
    StateObserved(at=0.1, name=f"box/{NASTY}", state="running"),
    StepStarted(at=0.2, path="steps[1]", title=NASTY, line=2),
    Printed(at=0.3, container="box/one", process=NASTY, stream="stdout", data=NASTY.encode()),
    STEP,
    RunEnded(at=1.0, outcome=Outcome.FAILED, reason=NASTY),
]


def terminal() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=True, width=20_000, height=60, legacy_windows=False), out


def feed(report: RunReport) -> None:
    for event in EVENTS:
        report.event(event)
    report.notice(NASTY)
    report.result(RESULT)
    report.close()


def written(make: Callable[[Any], RunReport]) -> str:
    file = Kept()
    feed(make(file))
    return file.text or file.getvalue()


def test_plain_lines() -> None:
    check(written(PlainReport), half=True, lines="")


async def test_a_terminal(autojump_clock: MockClock) -> None:
    console, out = terminal()
    live = LiveReport(console)
    for event in EVENTS[:5]:
        live.event(event)
    console.print(*live._now())
    feed(live)
    check(out.getvalue(), half=True, lines="")


async def test_a_terminal_with_many_runs(autojump_clock: MockClock) -> None:
    console, out = terminal()
    many = ManyReport(console, 1)
    loaded = Loaded(NASTY, Scenario(name=NASTY, why=NASTY, steps=()), (), {}, {}, {})
    many.watch(loaded.scenario.name)(StepStarted(at=0.2, path="steps[1]", title=NASTY, line=2))
    console.print(*many._now())
    feed(many)
    check(out.getvalue(), half=True, lines="")


def test_pages_and_junit_are_shown_as_they_are() -> None:
    page, junit = HtmlReport(), JunitReport()
    for report in (page, junit):
        feed(report)
        check(report.text(), half=True)
    assert ElementTree.fromstring(junit.text()).get("failures") == "1"


def test_json_comes_back_as_it_was() -> None:
    errors = io.StringIO()
    out = written(lambda file: JsonReport(file, errors))
    check(out, lines="")
    check(errors.getvalue(), lines="")
    result: dict[str, Any] = json.loads(out)
    assert (result["name"], result["reason"], result["steps"][0]["seen"]["value"]) == (NASTY + HALF, NASTY, NASTY)
    journal = written(JournalReport)
    check(journal, lines="")
    lines: list[dict[str, Any]] = [json.loads(line) for line in journal.splitlines()]
    assert lines[0]["name"] == NASTY + HALF
    assert next(line["text"] for line in lines if line["event"] == "printed") == NASTY


async def test_ranges_of_seeds(autojump_clock: MockClock) -> None:
    summary = Summary(file=NASTY, name=NASTY + HALF, agent=NASTY, first=0, end=1)
    result = SeedResult(0, "failed", NASTY.replace("\n", " "), None, 1, 1.0)
    summary.add(result, NASTY, fresh=True)
    plain, as_object = io.StringIO(), io.StringIO()
    console, out = terminal()
    for report in (PlainRange(plain), JsonRange(as_object), LiveRange(console)):
        report.begin(summary)
        report.seed(summary, result)
        report.end(summary)
        report.close()
    check(plain.getvalue(), half=True, lines="")
    check(as_object.getvalue(), lines="")
    assert json.loads(as_object.getvalue())["name"] == NASTY + HALF
    check(out.getvalue(), half=True, lines="")
    check(ranges_page([summary]), half=True)
    check(ranges_junit([summary]), half=True)


async def test_the_conformance_suite(autojump_clock: MockClock) -> None:
    async def nothing(_: object) -> None: ...

    case = Case(id="it.is", title="x", does="x", expects="x", why="x", run=nothing)
    results = [CaseResult(case, verdict, NASTY, NASTY + HALF, 1.0) for verdict in Verdict]
    suite = SuiteRun(
        protocol=GuestProtocol.TTRPC, address=NASTY, version=NASTY, results=results, not_run=(), seconds=1.0
    )
    console, out = terminal()
    print_table(console, suite)
    print_cases(console, (case,))
    live = LiveProgress(console, 1)
    live.ended(results[1])
    check(out.getvalue(), half=True, lines="")
    check(as_html(suite), half=True)
    check(as_junit(suite), half=True)
    check(as_json(suite), lines="")
    assert json.loads(as_json(suite))["cases"][0]["seen"] == NASTY + HALF


@pytest.mark.parametrize(
    "error", [AgentError(NASTY + HALF), RemoteProtocolError(NASTY + HALF), RpcStatusError(13, NASTY + HALF)], ids=type
)
def test_errors_and_their_tracebacks_and_log_lines(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    check(str(error), half=True, lines="")
    try:
        raise ExceptionGroup("two", [error])
    except ExceptionGroup as group:
        check("".join(traceback.format_exception(group)), half=True, lines="")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    record = logging.LogRecord("katrio", logging.WARNING, "f", 1, "stop of it: %s", (error,), None)
    handler.emit(record)
    check(stream.getvalue(), half=True, lines="")
    report_error(error)
    check(capsys.readouterr().err, half=True, lines="")


def test_the_commands_own_lines_and_log(capsys: pytest.CaptureFixture[str]) -> None:
    say(NASTY, NASTY + HALF)
    complain(NASTY)
    report_error(OSError(2, NASTY, NASTY))
    complain(str(Problem(file=NASTY, found=NASTY, expected=NASTY)))
    suite = capsys.readouterr()
    check(suite.out, half=True, lines="")
    check(suite.err, lines="")
    assert len(suite.out.splitlines()) == 2
    record = logging.LogRecord("x", logging.WARNING, "f", 1, "%s", (NASTY,), (ValueError, ValueError(NASTY), None))
    check(OneLine().format(record), lines="")


@pytest.mark.parametrize("at_terminal", [True, False])
def test_answers_of_an_agent(
    at_terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rpc = find_rpc("ReadStdout")
    call = Call(rpc, rpc.request())
    monkeypatch.setattr(sys.stdout, "isatty", lambda: at_terminal)
    answer = Answer(call, 0.1, response=response_shape(rpc).struct_type(NASTY.encode()))
    show(answer, as_json=False)
    out = capsys.readouterr().out
    if at_terminal:
        check(out)
    else:
        assert out == NASTY
    show(answer, as_json=True)
    check(capsys.readouterr().out, lines="")
    show(Answer(call, 0.1, error=AgentError(NASTY + HALF)), as_json=False)
    check(capsys.readouterr().err, half=True, lines="")
    show(Answer(call, 0.1, error=AgentError(NASTY + HALF)), as_json=True)
    out = capsys.readouterr().out
    check(out, lines="")
    assert json.loads(out)["error"]["message"] == NASTY + HALF
