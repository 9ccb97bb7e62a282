"""Every verb over a simulated guest, in virtual time, compared with the verb table: the body of the real ones.

And that the table has every verb there is. Not for real guests: `tests/integration/test_agents.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from actors.agents.support import verb_table
from actors.scenario.reading.load import load_file
from actors.scenario.stage.events import Outcome
from actors.simulation.run import simulate
from actors.wire.sandbox_verbs import SANDBOX_VERBS
from actors.wire.verbs import CONTAINER_VERBS
from actors.worlds.simulated import open_simulated
from actors.worlds.simulated_runs import play
from tests.support.agent_body import EXERCISES, differences

if TYPE_CHECKING:
    from actors.agents.support import Support
    from actors.simulation.run import Simulation

TABLE = verb_table()
SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"


def test_the_table_has_every_verb_of_every_actor_and_an_exercise_for_each() -> None:
    rows = {(row.kind, row.verb) for row in TABLE.rows}
    verbs = {("sandbox", verb) for verb in SANDBOX_VERBS} | {("container", verb) for verb in CONTAINER_VERBS}
    assert {row for row in rows if row[0] != "event"} == verbs
    assert rows == set(EXERCISES)
    assert {len(row.supports) for row in TABLE.rows} == {len(TABLE.columns)}


@pytest.mark.parametrize(
    ("column", "config"),
    [
        ("noop", {}),
        ("hyperstart/simulated", {}),
        ("kata/simulated", {}),
        # the other dialect does the same verbs
        ("kata/simulated", {"Dialect": "grpc"}),
    ],
    ids=["noop", "hyperstart", "kata-ttrpc", "kata-grpc"],
)
@pytest.mark.parametrize("seed", range(3))
def test_what_each_verb_does_in_a_simulation_is_what_the_table_says(
    column: str, config: dict[str, str], seed: int
) -> None:
    agent = column.partition("/")[0]

    async def main(simulation: Simulation) -> dict[tuple[str, str], Support]:
        async with open_simulated(simulation, agent=agent, config=config) as world:
            return await differences(world, TABLE, column)

    assert simulate(main, seed).value == {}


# races that a real machine shows on a busy day: one that it showed was on a third of all seeds
SEEDS = {"exec-racing-stop": range(12), "guest-killed": range(6), "killed-before-its-start": range(6)}


@pytest.mark.parametrize("name", SEEDS)
def test_scenarios_hold_with_hyperstart_on_many_seeds_and_the_same_seed_is_the_same_run(name: str) -> None:
    loaded = load_file(SCENARIOS / f"{name}.yaml")
    played = [play(loaded, seed, agent="hyperstart") for seed in SEEDS[name]]
    for each in played:
        assert each.result.outcome is Outcome.HELD, (each.result.seed, each.result.reason)
    again = play(loaded, SEEDS[name][0], agent="hyperstart")
    assert again.result.trace_digest == played[0].result.trace_digest
    assert len({each.result.trace_digest for each in played}) == len(played)
