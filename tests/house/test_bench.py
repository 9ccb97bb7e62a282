"""The harness of the figures: what it makes of two sides' rounds, and that every promised figure is there."""

from __future__ import annotations

import math

import pytest

from benchmarks.__main__ import all_figures, options
from benchmarks.figure import Comparison, Effort, Figure, Goal, Measured, take_turns
from benchmarks.report import entry, markdown

PROMISED = {
    "ask_rtt_inproc", "ask_rtt_ipc", "ask_rtt_memory", "ask_pipelined_ipc", "ask_vs_ray", "ask_vs_xoscar", "ask_vs_pykka",
    "actors_1000_rss", "actors_1000_fds", "actors_1000_ask_p50", "stream_throughput_ipc", "container_life", "exec_true",
    "pause_resume", "stats", "stdout_throughput", "ttrpc_rtt", "ttrpc_16way", "grpc_rtt", "guest_start", "containers_100",
}  # fmt: skip


def figure(goal: Goal | None = None) -> Figure:
    async def measure(_: Effort) -> Measured:
        raise NotImplementedError

    return Figure("some", "about it", "us", measure, goal)


def test_every_promised_figure_is_there() -> None:
    assert PROMISED - set(all_figures()) == set()


def test_an_unknown_name_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        options(all_figures(), ["ask_rtt_inprok"])
    assert "ask_rtt_inprok" in capsys.readouterr().err


async def test_sides_take_turns_and_change_who_begins() -> None:
    order: list[str] = []

    async def ours() -> float:
        order.append("a")
        return 1.0

    async def theirs() -> float:
        order.append("b")
        return 2.0

    assert await take_turns(3, ours, theirs) == [[1.0] * 3, [2.0] * 3]
    assert "".join(order) == "abbaab"


def test_the_ratio_is_the_median_of_the_rounds_own() -> None:
    # a machine that was three times slower in one round says nothing of the ratio
    measured = Measured([10.0, 30.0, 11.0], [Comparison("peer", [5.0, 15.0, 5.0], Goal(most=2.1))])
    shown = entry(figure(), measured)
    assert (shown["value"], shown["ratio"], shown["met"]) == (11.0, 2.0, True)


@pytest.mark.parametrize(
    ("goal", "met"),
    [(Goal(most=2.0), True), (Goal(most=1.9), False), (Goal(least=2.0), True), (Goal(least=2.1), False)],
)
def test_a_goal_of_the_ratio(goal: Goal, met: bool) -> None:
    assert entry(figure(), Measured([4.0], [Comparison("peer", [2.0], goal)]))["met"] is met


def test_a_goal_of_the_value_needs_no_peer() -> None:
    assert entry(figure(Goal(least=300, of_value=True)), Measured([299.0]))["met"] is False
    assert entry(figure(Goal(most=40, of_value=True)), Measured([40.0]))["met"] is True


def test_one_missed_goal_of_several_is_missed() -> None:
    peers = [Comparison("near", [2.0], Goal(most=2.0)), Comparison("far", [1.0], Goal(most=1.0))]
    assert entry(figure(), Measured([3.0], peers))["met"] is False


def test_a_figure_without_a_goal_is_not_judged() -> None:
    shown = entry(figure(), Measured([3.0], [Comparison("peer", [2.0])]))
    assert shown["met"] is None
    assert math.isclose(shown["ratio"], 1.5)
    assert "missed" not in markdown([shown])
