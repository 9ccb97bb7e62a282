"""Runs a scenario in the simulated world: one seed, one result.

For the command line, tests and benchmarks. A simulation that deadlocks or makes a real call is a result too, with
outcome `error`; only bugs of the simulation itself raise. Ranges of seeds are in `actors.cli.seeds_range`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import trio

from actors.agents.choice import AgentConfig, choose_agent
from actors.limits import SIMULATED_LIMITS
from actors.scenario.run.runner import run_scenario
from actors.scenario.stage.events import Outcome, RunEnded, StepEnded
from actors.scenario.stage.results import Result
from actors.simulation.deadlock import Deadlock
from actors.simulation.fence import EscapedSimulation
from actors.simulation.run import simulate
from actors.words import AgentType
from actors.worlds.simulated import open_simulated

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.limits import Limits
    from actors.scenario.reading.scenario import Loaded
    from actors.scenario.stage.events import Event
    from actors.simulation.run import Simulation

__all__ = ["Played", "play"]


@dataclass(frozen=True, slots=True)
class Played:
    """One scenario on one seed.

    Attributes:
        result: with `seed` and `trace_digest`.
        events: the events for a report, in order; times are virtual.
        steps: task steps; 0 if it did not finish.
        seconds: virtual time, from opening the world to its end.
    """

    result: Result
    events: tuple[Event, ...]
    steps: int
    seconds: float


def play(
    loaded: Loaded,
    seed: int,
    *,
    agent: str = "kata",
    config: AgentConfig | None = None,
    keep_going: bool = False,
    limits: Limits = SIMULATED_LIMITS,
    log: Callable[[str], None] | None = None,
    stop_by: Callable[[Callable[[], None]], None] | None = None,
) -> Played:
    """Run it to its end. `keep_going`: see `run_scenario`. `log` gets a line per trace entry.

    Args:
        stop_by: receives a function that ends the run in order, outcome `interrupted`; callable from a signal handler, at any time.

    Raises:
        InvalidArgument, Unsupported: see `actors.agents.choice.choose_agent`.
        UnsupportedTrio: see `actors.simulation.schedule`.
    """
    choose_agent(agent, config)
    events: list[Event] = []
    bugs: list[tuple[str, Exception]] = []
    interrupt = trio.CancelScope()

    async def main(simulation: Simulation) -> Result:
        token = trio.lowlevel.current_trio_token()

        def stop() -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(interrupt.cancel)

        if stop_by is not None:
            stop_by(stop)
        async with open_simulated(simulation, agent=agent, config=config, limits=limits) as world:
            result = await run_scenario(
                loaded, world, listener=events.append, seed=seed, keep_going=keep_going, interrupt=interrupt
            )
            bugs.extend(world.guests.bugs)
        return result

    try:
        ended = simulate(main, seed, log=log)
    except Deadlock as stuck:
        return _stopped(loaded, seed, agent, events, str(stuck), stuck.seconds, stuck.digest)
    except EscapedSimulation as escaped:
        return _stopped(loaded, seed, agent, events, f"EscapedSimulation: {escaped}", 0.0, None)
    result = msgspec.structs.replace(ended.value, trace_digest=ended.digest)
    if bugs:
        call, error = bugs[0]
        reason = f"the guest's {call} raised {type(error).__name__}: {error}; {result.reason}".rstrip("; ")
        result = msgspec.structs.replace(result, outcome=Outcome.ERROR, reason=reason)
    return Played(result, tuple(events), ended.steps, ended.seconds)


def _stopped(
    loaded: Loaded,
    seed: int,
    agent: str,
    events: list[Event],
    reason: str,
    seconds: float,
    digest: str | None,
) -> Played:
    """The result of a run that did not finish for `reason`, whatever the scenario itself reported."""
    events = [event for event in events if not isinstance(event, RunEnded)]
    events.append(RunEnded(at=seconds, outcome=Outcome.ERROR, reason=reason))
    result = Result(
        file=loaded.file,
        name=loaded.scenario.name,
        outcome=Outcome.ERROR,
        world="simulated",
        agent=agent,
        engine=None if agent == AgentType.NOOP else "simulated",
        seed=seed,
        trace_digest=digest,
        duration_s=round(seconds, 6),
        reason=reason,
        steps=tuple(event for event in events if isinstance(event, StepEnded)),
    )
    return Played(result, tuple(events), 0, seconds)
