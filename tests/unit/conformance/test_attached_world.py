"""What the attached world says that it provides, of each double and of our own guest: asked before a scenario, never by a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.agents.base import Channels
from actors.node.protocols import GuestProtocol
from actors.scenario.stage.events import Outcome
from actors.worlds.lacks import lacks_of_engine
from tests.support.conformance import open_simulated_kata
from tests.support.doubles.opening import DOUBLES, open_double
from tests.support.doubles.power import Options
from tests.support.doubles.world import load_named, open_doubled_world, run_at

if TYPE_CHECKING:
    from trio.testing import MockClock

NEVER = {"probes", "faults"}
LACKS = {
    "today": {"exec_errors", "oom_told", "pids_limit"},
    "kata1x": {"exec_errors"},
    "hyperstart": {
        *("pause", "limits", "pids_limit", "oom", "oom_told", "stats", "process_list"),
        *("signal_exits", "exec_errors", "held_output"),
    },
}


def test_only_plain_processes_lack_something() -> None:
    assert "cgroups" in lacks_of_engine("processes")
    assert not lacks_of_engine("crun")


@pytest.mark.parametrize("name", DOUBLES)
async def test_it_knows_what_it_is_attached_to(name: str, autojump_clock: MockClock) -> None:
    async with open_double(name) as running, open_doubled_world(running.channels, DOUBLES[name].protocol) as world:
        await world.identify()
        assert set(world.missing) == LACKS[name] | NEVER
        assert world.engine is None
        assert all(world.missing.values())


async def test_with_control_groups_v2_kills_for_want_of_memory_are_told(autojump_clock: MockClock) -> None:
    loaded = load_named("oom-kill-seen")
    result = await run_at("today", loaded, Options(unified_groups=True))
    assert result.outcome is Outcome.HELD, result.reason
    result = await run_at("today", loaded)
    assert (result.outcome, result.steps) == (Outcome.SKIPPED, ())
    assert "control groups v1" in result.reason


@pytest.mark.parametrize("protocol", [GuestProtocol.TTRPC, GuestProtocol.GRPC])
async def test_a_guest_of_ours_says_which_engine_it_has(protocol: GuestProtocol, autojump_clock: MockClock) -> None:
    async with (
        open_simulated_kata(protocol) as target,
        open_doubled_world(Channels(target.dialer), protocol) as world,
    ):
        await world.identify()
        assert (set(world.missing), world.engine) == (NEVER, "simulated")
