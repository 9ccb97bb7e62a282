"""`--slow`: which times of a scenario grow, and which don't; by the types of their fields."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, cast

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from actors.cli.programs import describe_program
from actors.errors import InvalidArgument
from actors.limits import DEFAULT_LIMITS, MOST_SLOW, slow_limits
from actors.scenario.reading.load import load_file
from actors.scenario.reading.slowed import slowed
from actors.scenario.report.base import last_line
from actors.scenario.stage.events import Outcome
from tests.support.doubles.world import SCENARIOS
from tests.support.scenarios import run, scenario

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from actors.scenario.stage.python import PythonWorld

STEPS = """\
- {wait: one, within: 2s, expect: {took: {at_most: 3}}}
- {stop: one, grace: 4s, expect: {took: {range: [1, 5]}}}
- {sleep: 100ms}
- {unchanged: {lines: one}, settle: 200ms, during: 3s}
- {always: {state: one, expect: running}, during: 3s}
- {rate: 7, during: 2s, steps: [{state: one, within: 1s}]}
- {repeat: 2, steps: [{parallel: [{state: one, within: 1s}, [{state: two}]]}]}
- {eventually: {state: one, expect: running}, within: 6s}
- {stop: two, expect: {took: {at_most: "${most}"}}}
"""
MORE = """\
vars: {most: "5"}
limits: {total: 20s, step: 5s}
thresholds: ["p95(exec) < 50ms", "rate(exec) > 10", "errors(stop) == 0", "max(stop) >= 1s", "count(stop) < 9"]
finally: [{stop: one, grace: 1s}]
"""


def times_of(part: object) -> list[object]:
    """All numbers and texts in it, in order, that differ from one factor to another."""
    if isinstance(part, Struct):
        return [one for name in part.__struct_fields__ for one in times_of(getattr(part, name))]
    if isinstance(part, tuple):
        return [one for item in cast("tuple[object, ...]", part) for one in times_of(item)]
    return [part] if isinstance(part, float | str) else []


def test_every_time_that_something_may_take_grows_and_no_other() -> None:
    loaded = scenario(STEPS, more=MORE)
    fresh = slowed(loaded, 10)
    was, now = times_of(loaded.scenario), times_of(fresh.scenario)
    assert [pair for pair in zip(was, now, strict=True) if pair[0] != pair[1]] == [
        (20.0, 200.0),
        (5.0, 50.0),
        ("p95(exec) < 50ms", "p95(exec) < 50ms, 10 times as slow"),
        (0.05, 0.5),
        ("rate(exec) > 10", "rate(exec) > 10, 10 times as slow"),
        (10.0, 1.0),
        (2.0, 20.0),
        ("3", "30.0"),
        ("5", "50.0"),
        (4.0, 40.0),
        (0.1, 1.0),
        (0.2, 2.0),
        (1.0, 10.0),
        (1.0, 10.0),
        (6.0, 60.0),
        (1.0, 10.0),
    ]
    # what is found by a step's path stays
    assert (fresh.lines, fresh.targets, fresh.needs, fresh.slow) == (loaded.lines, loaded.targets, loaded.needs, 10)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_nothing_is_changed_by_a_factor_of_one(path: Path) -> None:
    loaded = load_file(path)
    assert slowed(loaded, 1).scenario == loaded.scenario


@given(st.floats(1, MOST_SLOW))
def test_the_bounds_of_guests_grow_and_those_of_clients_do_not(factor: float) -> None:
    fresh = slow_limits(DEFAULT_LIMITS, factor)
    for field in fields(DEFAULT_LIMITS):
        was, now = getattr(DEFAULT_LIMITS, field.name), getattr(fresh, field.name)
        assert now in (was, was * factor)
        assert field.name.endswith("_seconds") or now == was
    assert fresh.mutate_seconds == 60 * factor
    assert fresh.hello_seconds == DEFAULT_LIMITS.hello_seconds


@pytest.mark.parametrize("factor", [0.5, 0.0, -1.0, float("nan"), float("inf"), 1001.0])
def test_a_factor_that_is_none_is_refused(factor: float) -> None:
    with pytest.raises(InvalidArgument, match="1 to 1000"):
        slow_limits(DEFAULT_LIMITS, factor)


async def test_a_step_that_is_late_is_in_time_for_a_slow_guest(autojump_clock: MockClock) -> None:
    steps = "- {exec: one, command: [exit, '3', after, '12'], as: late}\n- {wait: late, within: 2s, expect: {exit: 3}}"
    assert (await run(scenario(steps))).result.outcome is Outcome.FAILED
    result = (await run(slowed(scenario(steps), 10))).result
    assert (result.outcome, result.slow, last_line(result).endswith(", slow 10")) == (Outcome.HELD, 10, True)


async def test_so_is_one_of_a_program(autojump_clock: MockClock) -> None:
    async def program(world: PythonWorld) -> None:
        began = trio.current_time()

        async def seconds() -> float:
            return trio.current_time() - began

        async with world.step("late", within=2):
            await world.eventually(seconds, at_least=12, within=2)

    loaded = describe_program(program, "file.py", "because", {"name": "it"})
    assert (await run(loaded)).result.outcome is Outcome.FAILED
    assert (await run(slowed(loaded, 10))).result.outcome is Outcome.HELD
