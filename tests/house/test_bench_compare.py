"""Two runs of the figures beside each other: what got worse by more than the noise, and what can't be said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.__main__ import all_figures, main, options
from benchmarks.compare import Change, Changed, compare, read_run, summary, with_noise
from benchmarks.figure import Comparison, Effort, Figure, Measured, take_turns
from benchmarks.report import entry

if TYPE_CHECKING:
    from pathlib import Path

HERE: dict[str, Any] = {"cpu": "one", "cores": 2, "quick": False}
OTHER = {**HERE, "cpu": "another"}


def shown(ours: list[float], theirs: list[float] | None, unit: str = "us", **more: object) -> dict[str, Any]:
    """A figure of `scripts/bench --json`, as it is made."""

    async def measure(_: Effort) -> Measured:
        raise NotImplementedError

    measured = Measured(ours, [Comparison("peer", theirs)] if theirs is not None else [])
    return {**with_noise(entry(Figure("some", "about", unit, measure), measured), measured), **more}


def compared(
    before: dict[str, Any], now: dict[str, Any], *, machine: dict[str, Any] = HERE, chosen: list[str] | None = None
) -> list[Changed]:
    runs = ({"machine": HERE, "figures": [before]}, {"machine": machine, "figures": [now]})
    return compare(*(read_run(json.dumps(run).encode()) for run in runs), chosen=chosen)


def verdict(before: dict[str, Any], now: dict[str, Any], *, machine: dict[str, Any] = HERE) -> Change:
    (found,) = compared(before, now, machine=machine)
    return found.verdict


STEADY = [1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("before", "now", "unit", "expected"),
    [
        ([2.0, 2.1, 2.2, 2.3], [3.0, 3.1, 3.2, 3.3], "us", Change.SLOWER),
        ([2.0, 2.1, 2.2, 2.3], [3.0, 3.1, 3.2, 3.3], "MB/s", Change.FASTER),
        ([3.0, 3.1, 3.2, 3.3], [2.0, 2.1, 2.2, 2.3], "us", Change.FASTER),
        ([3.0, 3.1, 3.2, 3.3], [2.0, 2.1, 2.2, 2.3], "calls/s", Change.SLOWER),
        # quartiles that overlap, however far the medians are apart
        ([1.0, 2.0, 3.0, 9.0], [2.0, 4.0, 5.0, 9.0], "us", Change.SAME),
        # rounds that hardly differ, and medians that are two hundredths apart
        ([2.0, 2.0, 2.0, 2.0], [2.04, 2.04, 2.04, 2.04], "us", Change.SAME),
    ],
)
def test_it_is_worse_by_more_than_the_rounds_differ(
    before: list[float], now: list[float], unit: str, expected: Change
) -> None:
    assert verdict(shown(before, STEADY, unit), shown(now, STEADY, unit)) is expected
    # with nothing beside it, the value itself, on the same machine
    assert verdict(shown(before, None, unit), shown(now, None, unit)) is expected


def test_a_machine_of_half_the_speed_is_no_change_of_a_ratio() -> None:
    before, now = shown([2.0, 2.1, 2.2], [1.0, 1.0, 1.0]), shown([4.0, 4.2, 4.4], [2.0, 2.0, 2.0])
    assert verdict(before, now, machine=OTHER) is Change.SAME
    assert verdict(shown([2.0], None), shown([4.0], None), machine=OTHER) is Change.INCOMPARABLE


def test_processor_time_comes_before_time_that_passed() -> None:
    before = shown([2.0, 2.1, 2.2], STEADY[:3], cpu={"ratio": 1.5, "ratio_spread": [1.4, 1.6]})
    now = shown([5.0, 5.1, 5.2], STEADY[:3], cpu={"ratio": 1.5, "ratio_spread": [1.4, 1.6]})
    (found,) = compared(before, now)
    assert (found.verdict, found.by) == (Change.SAME, "ratio of processor time")
    (found,) = compared(shown([2.0, 2.1, 2.2], STEADY[:3]), now)
    assert (found.verdict, found.by) == (Change.SLOWER, "ratio to peer")


def test_a_few_rounds_say_less() -> None:
    before, now = shown([2.0] * 3, STEADY[:3]), shown([2.2] * 3, STEADY[:3])
    assert verdict(before, now) is Change.SLOWER
    assert verdict(before, now, machine={**HERE, "quick": True}) is Change.SAME


def test_what_has_no_other_half_is_said() -> None:
    figure, skipped = shown([2.0], [1.0]), {"name": "some", "skipped": "no ray: scripts/bench --peers"}
    (found,) = compared(figure, skipped)
    assert (found.verdict, found.why) == (Change.NOT_MEASURED, "no ray: scripts/bench --peers")
    assert verdict(skipped, figure) is Change.NEW
    assert verdict(figure, {**figure, "unit": "ms"}) is Change.INCOMPARABLE
    both = compared(figure, {**figure, "name": "other"})
    assert [(each.name, each.verdict) for each in both] == [("other", Change.NEW), ("some", Change.NOT_MEASURED)]
    # one that nobody wanted measured is not missed
    assert [each.name for each in compared(figure, {**figure, "name": "other"}, chosen=["other"])] == ["other"]


@given(st.lists(st.floats(0.1, 1e6), min_size=3, max_size=9), st.floats(0.1, 1e6))
def test_a_run_beside_itself_has_not_changed_and_no_figure_is_both_slower_and_faster(
    ours: list[float], factor: float
) -> None:
    theirs = [1.0] * len(ours)
    before, now = shown(ours, theirs), shown([each * factor for each in ours], theirs)
    assert verdict(before, before) is Change.SAME
    turned = {Change.SLOWER: Change.FASTER, Change.FASTER: Change.SLOWER}
    forth, back = compared(before, now)[0], compared(now, before)[0]
    if Change.SAME not in (forth.verdict, back.verdict):
        assert turned[forth.verdict] is back.verdict


def test_the_command_compares_files_and_ends_with_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, ours in (("old.json", [2.0] * 4), ("new.json", [3.0] * 4)):
        (tmp_path / name).write_text(json.dumps({"machine": HERE, "figures": [shown(ours, STEADY)]}))
    monkeypatch.setenv("BENCH_FROM", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["bench", "--compare", "old.json", "--measured", "new.json"])
    assert main() == 0
    told = capsys.readouterr().out
    assert "+50 %" in told
    assert told.endswith("beside old.json: 1 slower\n")
    monkeypatch.setattr("sys.argv", ["bench", "--compare", "old.json", "--measured", "new.json", "--json"])
    assert main() == 0
    (found,) = json.loads(capsys.readouterr().out)["compared"]
    assert (found["verdict"], found["change"]) == ("slower", 0.5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, "No such file"), ("", "expected what"), ("[]", "expected what"), ('{"figures": []}', "machine")],
)
def test_what_is_no_run_ends_with_2_before_anything_is_measured(
    text: str | None, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "old.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SystemExit, match="2"):
        options(all_figures(), ["--compare", str(file)])
    assert expected in capsys.readouterr().err


async def test_what_is_written_of_processor_time_is_what_is_compared() -> None:
    async def turn() -> float:
        await trio.lowlevel.checkpoint()
        return float(sum(range(20_000)))

    ours, theirs = await take_turns(3, turn, turn)
    measured = Measured(ours, [Comparison("peer", theirs)])

    async def measure(_: object) -> Measured:
        await trio.lowlevel.checkpoint()
        return measured

    written = with_noise(entry(Figure("some", "about", "us", measure), measured), measured)
    (found,) = compared(written, written)
    assert (found.by, found.verdict) == ("ratio of processor time", Change.SAME)


def test_ci_measures_the_figures_of_the_baseline_and_nothing_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert options(all_figures(), ["--ci"]).before is None
    (tmp_path / "benchmarks").mkdir()
    run = {"machine": HERE, "figures": [shown([2.0], [1.0], name="ttrpc_rtt"), shown([2.0], [1.0], name="forgotten")]}
    (tmp_path / "benchmarks/baseline.json").write_text(json.dumps(run))
    asked = options(all_figures(), ["--ci"])
    assert (asked.quick, asked.name) == (True, ["ttrpc_rtt"])


def test_no_figures_are_no_summary() -> None:
    assert summary([]) == "no figures"
