"""Several runs as one, and what reports say of values, thresholds, names and states."""

from __future__ import annotations

import io
import itertools
import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from actors.scenario.report.journal import JournalReport
from actors.scenario.report.junit import JunitReport
from actors.scenario.report.lines import JsonReport, PlainReport
from actors.scenario.report.live import LiveReport
from actors.scenario.report.summary import Totals, summarised
from actors.scenario.stage.events import (
    SEEN_KEPT,
    SEEN_KEPT_IN_ALL,
    AskRecord,
    Journal,
    Noticed,
    ObservedValues,
    Outcome,
    Printed,
    RunEnded,
    RunStarted,
    StateObserved,
)
from actors.scenario.stage.outputs import Decoding, Output, tail_text
from actors.scenario.stage.results import Result, percentile
from tests.support.scenarios import run, scenario

if TYPE_CHECKING:
    from trio.testing import MockClock


def ran(*asks: AskRecord, outcome: Outcome = Outcome.HELD) -> Result:
    """A run with these asks and no steps."""
    return Result(file="f", name="n", outcome=outcome, world="w", agent="a", duration_s=1.5, asks=asks)


def ask(verb: str, seconds: float, code: str = "", *, to: str = "box/one", expected: bool = False) -> AskRecord:
    """One ask."""
    return AskRecord(verb=verb, to=to, at=0.0, seconds=seconds, code=code, expected=expected)


def test_a_total_counts_runs_and_asks() -> None:
    totals = Totals(4)
    totals.add(ran(*(ask("exec", number / 1000) for number in range(1, 11))))
    totals.add(ran(ask("exec", 9.0, "busy"), ask("exec", 9.0, "busy", expected=True), outcome=Outcome.FAILED))
    totals.add(ran(ask("start", 2.0, to="box"), ask("pause", 1.0, "busy")))
    total = totals.total()
    assert total is not None
    assert (total.runs, total.outcomes, total.duration_s) == (4, {"held": 2, "failed": 1}, 4.5)
    execs = total.verbs["exec"]
    assert (execs.count, execs.errors) == (12, 1)
    assert (execs.p50_s, execs.p90_s, execs.p95_s, execs.max_s) == (0.005, 0.009, 0.01, 0.01)
    assert set(total.verbs) == {"exec", "pause", "sandbox start"}
    first, head, *rows = summarised(total)
    assert first == "total: 4 runs: 2 held, 1 failed, 1 not run; 4.5 s together"
    assert head.split() == ["ask", "count", "errors", "p50", "p90", "p95", "max"]
    assert [row.split() for row in rows] == [
        ["exec", "12", "1", "5", "ms", "9", "ms", "10", "ms", "10", "ms"],
        ["pause", "1", "1", "-", "-", "-", "-"],
        ["sandbox", "start", "1", "0", "2", "s", "2", "s", "2", "s", "2", "s"],
    ]
    assert len({len(row) for row in (head, *rows)}) == 1


def test_one_run_has_no_total() -> None:
    totals = Totals(1)
    totals.add(ran(ask("exec", 1.0)))
    assert totals.total() is None
    assert Totals(2).total() is None


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 100))
def test_a_percentile_was_a_time_and_so_many_are_not_above_it(times: list[float], share: float) -> None:
    times.sort()
    found = percentile(times, share)
    assert found in times
    assert sum(one <= found for one in times) >= share / 100 * len(times) - 1e-6


async def test_values_are_whole_or_left_out(autojump_clock: MockClock) -> None:
    long = "x" * SEEN_KEPT
    steps = (
        f"- {{exec: one, command: [print, '{long[:5000]}'], as: pp}}\n- {{wait: pp}}\n- {{stdout: pp}}\n- {{info: one}}"
    )
    result = (await run(scenario(steps))).result
    values = [step.seen.value for step in result.steps if step.seen is not None]
    assert values[2] == long[:5000] + "\n"
    assert json.loads(str(values[3]))["state"] == "running"
    journal = Journal(lambda event: None)
    assert journal.whole(ObservedValues(value=long)) == ObservedValues(value=long)
    assert journal.whole(ObservedValues(value=long + "x")) == ObservedValues(left_out=SEEN_KEPT + 1)
    kept = [journal.whole(ObservedValues(value=long)).value for _ in range(SEEN_KEPT_IN_ALL // SEEN_KEPT + 5)]
    assert (kept.count(None), kept[-1]) == (6, None)
    assert journal.whole(ObservedValues(value=3.5, exit=1)) == ObservedValues(value=3.5, exit=1)


@given(st.text(max_size=60), st.data())
def test_no_character_is_cut_by_how_an_output_comes(text: str, data: st.DataObject) -> None:
    whole = text.encode()
    pieces: list[bytes] = []
    while whole:
        size = data.draw(st.integers(1, len(whole)))
        pieces.append(whole[:size])
        whole = whole[size:]
    decoding = Decoding()
    assert "".join(decoding.text(piece) for piece in pieces) == text
    # the end of it begins with a whole one
    size = data.draw(st.integers(0, len(text.encode())))
    end = tail_text(text.encode()[size:], cut=size > 0)
    assert text.replace("\r\n", "\n").endswith(end) or "\r\n" in text


def test_a_journal_tells_a_character_that_two_parts_share() -> None:
    file = io.StringIO()
    report = JournalReport(file)
    for part in (b"h\xc3", b"\xbc!"):
        report.event(Printed(at=0.0, container="box/one", process="p", stream="stdout", data=part))
    assert "".join(json.loads(line)["text"] for line in file.getvalue().splitlines()) == "hü!"
    output = Output()
    output.kept, output.size = bytearray("ü€!".encode()[1:]), 100
    assert output.text() == "€!"


async def test_names_of_cases_are_the_files_own(autojump_clock: MockClock) -> None:
    steps = """
        - {exec: one, command: [print, "${who}"], as: aa}
        - {exec: one, command: [print, "${who}"], as: bb}
        - {exec: one, command: [print, "0123456789012345678901234567 ${who} and more"], as: cc}
        - {name: "for ${who}", state: one}
    """
    told = await run(scenario(steps, more="vars: {who: you}"))
    report = JunitReport()
    report.result(told.result)
    names = [case.get("name") for case in ElementTree.fromstring(report.text()).iter("testcase")]
    cut = "exec one print 0123456789012345678901234567 ..."
    assert names == ["exec one print ${who}", "exec one print ${who} (2)", cut, "for ${who}"]
    assert [step.title for step in told.result.steps][0::3] == ["exec one print you", "for you"]


async def test_thresholds_are_told_with_their_units(autojump_clock: MockClock) -> None:
    steps = "- {exec: one, command: [exit, '0', after, '2'], as: aa}\n- {wait: aa}"
    held = "['max(wait) < 3s', 'count(wait) == 1', 'rate(wait) < 5']"
    result = (await run(scenario(steps, more=f"thresholds: {held}"))).result
    assert [one.unit for one in result.thresholds] == ["s", "", "1/s"]
    file = io.StringIO()
    PlainReport(file).result(result)
    lines = file.getvalue().splitlines()
    assert lines[0].split() == ["held", "threshold", "max(wait)", "<", "3s:", "it", "was", "2", "s"]
    assert lines[2].endswith(" a second")
    broken = (await run(scenario(steps, more="thresholds: ['max(wait) < 1ms']"))).result
    assert broken.reason == "threshold max(wait) < 1ms: it was 2 s"


async def test_a_story_has_each_event_once_with_its_time(autojump_clock: MockClock) -> None:
    told = await run(scenario("- {pause: one}\n- {eventually: {state: one, expect: running}, within: 5s}"))
    failure = told.result.steps[-1].failure
    assert failure is not None
    looks = [event for event in failure.events if event.what.startswith("info: ok")]
    assert len(looks) == 1
    assert looks[0].times > 100
    assert str(looks[0]).startswith(f"{looks[0].at:.3f} s: info: ok in ")
    assert str(looks[0]).endswith(f"(the last of {looks[0].times})")
    assert any(event.what == "state paused" for event in failure.events)
    assert [event.at for event in failure.events] == sorted(event.at for event in failure.events)


@pytest.mark.parametrize("cancelled_after", [5.0, float("inf")])
async def test_states_are_told_once_each_and_to_the_end(cancelled_after: float, autojump_clock: MockClock) -> None:
    told = await run(scenario("- {sleep: 10s}\n- {exec: one, command: [exit, '4']}"), cancelled_after=cancelled_after)
    for name in ("box", "box/one"):
        states = [event.state for event in told.events if isinstance(event, StateObserved) and event.name == name]
        assert states[-3:] == ["stopping", "stopped", "gone"]
        assert all(one != other for one, other in itertools.pairwise(states))
    assert isinstance(told.events[-1], RunEnded)
    exits = [(event.process, event.code) for event in told.events if isinstance(event, Noticed)]
    assert (("exec-1", 4) in exits) is (cancelled_after > 10)


async def test_asks_of_no_step_are_in_the_result(autojump_clock: MockClock) -> None:
    told = await run(scenario("- {pause: one}"))
    file = io.StringIO()
    report = JsonReport(file, file)
    totals = Totals(2)
    for _ in range(2):
        report.result(told.result)
        totals.add(told.result)
    total = totals.total()
    assert total is not None
    report.total(total)
    first, _, last = (json.loads(line) for line in file.getvalue().splitlines())
    outside: list[dict[str, Any]] = first["asks"]
    assert [one["verb"] for one in outside] == ["create", "start"] * 3 + ["stop", "delete"]
    assert (last["event"], last["runs"], last["verbs"]["pause"]["count"]) == ("total", 2, 2)
    assert last["verbs"]["sandbox start"]["count"] == 2


async def test_the_live_view_shows_sandboxes_coming_up(autojump_clock: MockClock) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, height=20, color_system=None)
    report = LiveReport(console)
    report.event(
        RunStarted(
            at=0.0, file="f", name="n", why="w", world="w", agent="a", engine=None, steps=1, limit=9.0,
            sandboxes=("box", "other"), containers=("box/one", "other/two"),
        )
    )  # fmt: skip
    report.event(StateObserved(at=0.1, name="box", state="starting"))
    with console.capture() as shown:
        console.print(*report._now())  # the frame of this moment
    report.close()
    rows = [line.split()[:2] for line in shown.get().splitlines() if line.strip()]
    assert rows[:4] == [["box", "starting"], ["box/one", "-"], ["other", "-"], ["other/two", "-"]]
