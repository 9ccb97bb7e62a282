"""Every scenario at each double, in virtual time: it holds, or it is skipped before anything has started.

What neither holds nor is skipped stands in `FAILS`, which a row too many breaks as one too few does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.scenario.events import Outcome
from tests.support.doubles.opening import DOUBLES
from tests.support.doubles.world import SCENARIOS, load, run_at

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

FAILS = {
    "today": {
        # the host waits for the whole of an output whose pipe a grandchild holds
        "grandchild-holds-the-pipe",
        # the first size is not sent after the start
        "pause-one-of-two",
        "terminal-resize-storm",
    },
    "kata1x": {
        "grandchild-holds-the-pipe",
        # a signal to what has ended says so
        "signal-racing-exit",
        "pause-one-of-two",
        "terminal-resize-storm",
    },
    "hyperstart": set[str](),
}
# once is enough
LONG = {"fifty-containers", "fifty-megabytes"}
CASES = [(name, path) for name in DOUBLES for path in SCENARIOS if path.stem not in LONG or name == "today"]


@pytest.mark.parametrize(("name", "path"), CASES, ids=[f"{name}: {path.stem}" for name, path in CASES])
async def test_a_scenario_holds_or_is_skipped_before_its_start(
    name: str, path: Path, autojump_clock: MockClock
) -> None:
    result = await run_at(name, load(path))
    fine = result.outcome is Outcome.HELD or (result.outcome is Outcome.SKIPPED and not result.steps)
    assert fine is (path.stem not in FAILS[name]), (
        result.outcome,
        result.reason,
        [step.failure for step in result.steps],
    )
