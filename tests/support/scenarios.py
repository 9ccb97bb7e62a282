"""A scenario run in virtual time: the product's runner and actors, a scripted guest, a world that answers probes by heart.

A process of the scripted guest does what its command says: `exit N`, `print TEXT`, `exit N after S`; all else waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from textwrap import dedent, indent
from types import MappingProxyType
from typing import TYPE_CHECKING

import trio

from actors.scenario.language.needs import Fault, Need, Probe
from actors.scenario.reading.load import load_text
from actors.scenario.run.runner import run_scenario
from tests.support.agents import ScriptedGuest, ScriptedProcess, scripted_system

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.handles import SystemHandle
    from actors.scenario.reading.scenario import Loaded
    from actors.scenario.stage.events import Event
    from actors.scenario.stage.results import Result
    from actors.wire.spec import ProcessSpec

__all__ = ["HEAD", "Ran", "ScriptedWorld", "run", "scenario"]

HEAD = """\
name: it
why: because
sandboxes:
  box:
    containers:
      one: {command: [wait], labels: {role: worker}}
      two: {command: [wait], labels: {role: worker}}
"""


@dataclass
class ScriptedWorld:
    """See `actors.scenario.stage.world.World`."""

    system: SystemHandle
    guest: ScriptedGuest
    name: str = "scripted"
    agent: str = "scripted"
    engine: str | None = None
    missing: Mapping[Need, str] = field(default_factory=lambda: MappingProxyType({}))

    async def identify(self) -> None:
        await trio.lowlevel.checkpoint()
        if failure := self.guest.failures.get("identify"):
            raise type(failure)(failure.message)

    async def probe(self, kind: Probe, sandbox: str, container: str) -> str:
        await trio.lowlevel.checkpoint()
        if failure := self.guest.failures.get("probe"):
            raise type(failure)(failure.message)
        return f"{kind} of {sandbox}/{container}"

    async def fault(self, kind: Fault, sandbox: str) -> None:
        await trio.lowlevel.checkpoint()
        self.guest.die()


@dataclass
class Ran:
    """A run and all that was told of it."""

    told: Result | None
    events: list[Event]
    guest: ScriptedGuest

    @property
    def result(self) -> Result:
        """What was returned, as it was not cancelled."""
        assert self.told is not None
        return self.told


def scenario(steps: str, *, head: str = HEAD, more: str = "") -> Loaded:
    """A scenario with these steps; `more` are other fields of the file."""
    text = f"{head}{dedent(more)}\nsteps:\n{indent(dedent(steps), '  ')}"
    return load_text(text.encode(), "file.yaml")


async def run(
    loaded: Loaded,
    *,
    keep_going: bool = False,
    lacks: str = "",
    guest: ScriptedGuest | None = None,
    cancelled_after: float = inf,
) -> Ran:
    """Run it; the clock is the test's own. The cancel is one of the scenario, within a world that goes on."""
    guest = guest or ScriptedGuest()
    events: list[Event] = []
    async with trio.open_nursery() as nursery:
        guest.on_exec = lambda spec, process: nursery.start_soon(_perform, spec, process)
        async with scripted_system(guest) as system:
            world = ScriptedWorld(system, guest, missing={Need(lacks): "not here"} if lacks else {})
            result = None
            with trio.move_on_after(cancelled_after):
                result = await run_scenario(loaded, world, listener=events.append, keep_going=keep_going)
        nursery.cancel_scope.cancel()
    return Ran(result, events, guest)


async def _perform(spec: ProcessSpec, process: ScriptedProcess) -> None:
    match list(spec.args):
        case ["print", text]:
            process.write(text.encode() + b"\n")
            process.exit(0)
        case ["exit", code]:
            process.exit(int(code))
        case ["exit", code, "after", seconds]:
            await trio.sleep(float(seconds))
            process.exit(int(code))
        case _:
            await trio.sleep_forever()
