"""Ranges of seeds as JUnit and as a page: those that held, failed, were skipped, or were never played."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from actors.cli.seeds_files import ranges_junit, ranges_page
from actors.cli.seeds_report import Summary
from actors.cli.seeds_worker import SeedResult


def played(*outcomes: str, planned: int) -> Summary:
    """A range of which so many seeds were played."""
    summary = Summary(file="f.yaml", name="it", agent="kata", first=0, end=planned)
    for seed, outcome in enumerate(outcomes):
        result = SeedResult(seed, outcome, f"why {outcome}", f"{seed}", 1, 1.0)
        summary.add(result, f"katrio run --seed {seed}", fresh=True)
    return summary


@pytest.mark.parametrize(
    ("outcomes", "planned", "counts", "word"),
    [
        (("held", "held"), 2, ("1", "0", "0", "0"), "held"),
        (("held", "failed", "failed"), 3, ("3", "2", "0", "0"), "failed"),
        (("error", "held"), 2, ("2", "0", "1", "0"), "error"),
        (("skipped", "skipped"), 2, ("1", "0", "0", "1"), "skipped"),
        (("held",), 9, ("1", "0", "1", "0"), "interrupted"),
        ((), 9, ("1", "0", "1", "0"), "interrupted"),
        (("failed",), 9, ("2", "1", "0", "0"), "failed"),
    ],
)
def test_what_came_of_a_range(outcomes: tuple[str, ...], planned: int, counts: tuple[str, ...], word: str) -> None:
    summary = played(*outcomes, planned=planned)
    root = ElementTree.fromstring(ranges_junit([summary]))
    assert tuple(root.get(name) for name in ("tests", "failures", "errors", "skipped")) == counts
    first, *seeds = root.iter("testcase")
    assert first.get("name") == f"seeds 0 to {planned - 1}"
    assert [case.get("name") for case in seeds] == [
        f"seed {seed}" for seed, outcome in enumerate(outcomes) if outcome in ("failed", "error")
    ]
    page = ranges_page([summary])
    assert f"<h1>katrio run: 1 range of seeds: 1 {word}</h1>" in page
    for outcome in {*outcomes} & {"failed", "error"}:
        assert f"<code>katrio run --seed {outcomes.index(outcome)}</code>" in page
        assert page.count(f"why {outcome}") == 1
