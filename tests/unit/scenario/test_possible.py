"""Conditions of which no value meets all are refused, wherever conditions are; and no others are."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.scenario.language.conditions import Conditions, contradiction, holds
from actors.scenario.language.values import UnknownValue
from actors.scenario.reading.load import load_text
from actors.scenario.reading.problems import ScenarioError
from tests.support.scenarios import HEAD, run, scenario

if TYPE_CHECKING:
    from trio.testing import MockClock

NUMBERS = st.integers(-3, 9).map(str)
TEXTS = st.text("ab1", max_size=2)
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "equals": NUMBERS | TEXTS,
        "contains": TEXTS,
        "excludes": TEXTS,
        "matches": st.sampled_from(["^a", "b$", "[0-9]", ""]),
        "at_least": NUMBERS,
        "at_most": NUMBERS,
        "range": st.tuples(NUMBERS, NUMBERS),
        "one_of": st.lists(NUMBERS | TEXTS, min_size=1, max_size=3).map(tuple),
    },
)
VALUES = st.integers(-5, 12) | st.floats(-5, 12, allow_nan=False) | st.text("ab1", max_size=4)


@given(CONDITIONS, VALUES)
def test_what_is_refused_no_value_meets(written: dict[str, Any], value: float | str) -> None:
    conditions = Conditions(**written)
    if contradiction(conditions):
        with pytest.raises(UnknownValue, match="which nothing can meet"):
            holds(conditions, value, {}, "")
        # whatever is left out of it, the rest is judged alike for this value
        parts = [Conditions(**{name: part}) for name, part in written.items()]
        assert any(contradiction(part) or holds(part, value, {}, "") is not None for part in parts)


@given(st.integers(-9, 9), st.integers(-9, 9), st.sampled_from(["range", "bounds", "both"]))
def test_bounds_are_refused_when_they_cross(low: int, high: int, how: str) -> None:
    written: dict[str, Any] = {}
    if how != "bounds":
        written["range"] = (str(low), str(high))
    if how != "range":
        written |= {"at_least": str(low), "at_most": str(high)}
    assert bool(contradiction(Conditions(**written))) is (low > high)
    assert bool(contradiction(Conditions(**written), 0, 255)) is (low > high or high < 0)


PLACES = {
    "its value": ("- {exec: one, command: [wait], as: pp}\n- {wait: pp, expect: %s}", "steps[1].expect"),
    "exit": ("- {exec: one, command: [wait], as: pp}\n- {wait: pp, expect: {exit: %s}}", "steps[1].expect.exit"),
    "took": ("- {state: one, expect: {took: %s}}", "steps[0].expect.took"),
    "json": ("- {info: one, expect: {json: {oom_kills: %s}}}", "steps[0].expect.json.oom_kills"),
    "a look": ("- eventually: {lines: one, expect: %s}", "steps[0].eventually.expect"),
    "a branch": ("- parallel: [[{bytes: one, expect: %s}]]", "steps[0].parallel[0][0].expect"),
    "a race": ("- {race: [{state: one}], expect: %s}", "steps[0].expect"),
}
WRONG = [
    "{at_least: 5, at_most: 1}",
    "{range: [5, 1]}",
    "{range: [1, 2], at_least: 3}",
    "{equals: 4, at_most: 3}",
    "{one_of: [1, 2], at_least: 3}",
    "{equals: 4, one_of: [1, 2]}",
]


@pytest.mark.parametrize("conditions", WRONG)
@pytest.mark.parametrize("place", PLACES)
def test_it_is_refused_wherever_conditions_are(place: str, conditions: str) -> None:
    steps, field = PLACES[place]
    text = f"{HEAD}steps:\n{steps % conditions}\n"
    with pytest.raises(ScenarioError) as caught:
        load_text(text.encode(), "f")
    (problem,) = caught.value.problems
    assert (problem.field, problem.found.endswith(", which nothing can meet")) == (field, True)


@pytest.mark.parametrize(
    ("steps", "fine"),
    [
        ("- {exec: one, command: [wait], as: pp}\n- {wait: pp, expect: {exit: 256}}", False),
        ("- {exec: one, command: [wait], as: pp}\n- {wait: pp, expect: {exit: {range: [128, 999]}}}", True),
        ("- {lines: one, expect: {at_most: -1}}", False),
        ("- {stdout: one, expect: {contains: abc, excludes: b}}", False),
        ("- {stdout: one, expect: {equals: abc, contains: d}}", False),
        ("- {stdout: one, expect: {equals: abc, matches: '^a'}}", True),
        ("- {stdout: one, expect: {at_least: -1, at_most: 5}}", True),
        ("- {state: one, expect: {one_of: [running, paused], matches: ^r}}", True),
    ],
)
def test_what_a_value_can_be_at_all_counts(steps: str, fine: bool) -> None:
    text = f"{HEAD}steps:\n{steps}\n".encode()
    if fine:
        load_text(text, "f")
        return
    with pytest.raises(ScenarioError, match="which nothing can meet"):
        load_text(text, "f")


async def test_values_that_come_later_are_refused_when_they_come(autojump_clock: MockClock) -> None:
    loaded = scenario("- eventually: {lines: one, expect: {range: ['${low}', 3]}}", more="vars: {low: 5}")
    result = (await run(loaded)).result
    assert "range [5, 3], which nothing can meet" in result.reason
    assert result.duration_s < 1, "not at the end of the step's time"


def test_the_same_for_a_program() -> None:
    with pytest.raises(UnknownValue):
        holds(Conditions(at_least="5", at_most="1"), 3, {}, "")
    assert holds(Conditions(at_least="1", at_most="5"), 3, {}, "") is None
    assert operator.not_(contradiction(Conditions()))
