"""The embedded world: guests on this machine, one process each.

For `katrio run` by default, and for programs that embed katrio.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import trio

from actors.launchers.embedded import EmbeddedGuests
from actors.node.probes import count_processes, freezer_state
from actors.scenario.language.needs import Fault, Need, Probe
from actors.words import AgentType
from actors.worlds.lacks import lacks_of_engine, lacks_of_type

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from actors.handles import SystemHandle
    from actors.node.rundir import RunDirectory

__all__ = ["FAULTS", "PROBES", "EmbeddedWorld"]

# faults that a scenario can inject here
FAULTS: Mapping[Fault, Callable[[EmbeddedGuests, str], Awaitable[None]]] = MappingProxyType(
    {Fault.KILL_GUEST: EmbeddedGuests.kill}
)
# questions to the kernel, bypassing the guest
PROBES: Mapping[Probe, Callable[[RunDirectory, str], str]] = MappingProxyType(
    {
        Probe.FREEZER: freezer_state,
        Probe.PROCESSES: lambda directory, container: str(count_processes(directory, container)),
    }
)


@dataclass(frozen=True)
class EmbeddedWorld:
    """See `actors.scenario.stage.world.World`. `engine` is None with an agent that runs nothing."""

    system: SystemHandle
    agent: str
    engine: str | None
    guests: EmbeddedGuests
    name: str = field(default="embedded", init=False)

    @property
    def missing(self) -> Mapping[Need, str]:
        """The unmet needs, with reasons."""
        agent = lacks_of_type(AgentType(self.agent))
        return agent if self.engine is None else {**lacks_of_engine(self.engine), **agent}

    async def identify(self) -> None:
        """A no-op: its guests are ours."""
        await trio.lowlevel.checkpoint()

    async def probe(self, kind: Probe, sandbox: str, container: str) -> str:
        """Ask the kernel, bypassing the guest. Raises: NotFound."""
        await trio.lowlevel.checkpoint()
        return PROBES[kind](self.guests.directory(sandbox), container)

    async def fault(self, kind: Fault, sandbox: str) -> None:
        """Inject a fault. Raises: NotFound."""
        await FAULTS[kind](self.guests, sandbox)
