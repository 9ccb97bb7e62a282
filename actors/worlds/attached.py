"""The attached world: a system that another program serves, driven by requests; or an agent that somebody else runs.

For `katrio run --world attached`. What scenarios make there is theirs and is taken down by them; what was there before is
left alone. An agent is asked who it is before each scenario, and what it can't do is not tried; a system's own errors tell what
it lacks. Not for opening the connection: `actors.api`. What really runs is not known here, so no probe is answered.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import trio

from actors.errors import Unsupported
from actors.scenario.language.needs import Fault, Need, Probe
from actors.words import AgentType
from actors.worlds.lacks import lacks_of_agent, lacks_of_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.handles import SystemHandle
    from actors.launchers.external import ExternalGuests

__all__ = ["AttachedWorld"]

_PROBES = "the attached world can't look past the system that it is attached to"
_FAULTS = "what somebody else runs is not ours to break"
_NEVER: Mapping[Need, str] = MappingProxyType({Need.PROBES: _PROBES, Need.FAULTS: _FAULTS})


class AttachedWorld:
    """See `actors.scenario.stage.world.World`.

    Args:
        agent: which one speaks to `guests`; of another program's system neither is known.
    """

    name = "attached"

    def __init__(self, system: SystemHandle, agent: str = "unknown", guests: ExternalGuests | None = None) -> None:
        self.system = system
        self.agent = agent
        self._guests = guests
        self._engine = ""
        self._missing = _NEVER

    @property
    def engine(self) -> str | None:
        """What really runs the containers, of a guest of katrio's own that has been asked; None: not known."""
        return self._engine or None

    @property
    def missing(self) -> Mapping[Need, str]:
        """The needs that it does not meet, and why."""
        return self._missing

    async def identify(self) -> None:
        """Ask the agent who it is: another may answer by now. Raises: KatrioError: nobody answers."""
        if self._guests is None:
            await trio.lowlevel.checkpoint()
            return
        found = await self._guests.identify()
        self._engine = found.identity.engine
        theirs = lacks_of_agent(found.identity, unified=found.unified)
        self._missing = {**_NEVER, **theirs, **lacks_of_type(AgentType(self.agent))}

    async def probe(self, kind: Probe, sandbox: str, container: str) -> str:
        """Raises: Unsupported."""
        await trio.lowlevel.checkpoint()
        raise Unsupported(f"probe {kind}: {_PROBES}")

    async def fault(self, kind: Fault, sandbox: str) -> None:
        """Raises: Unsupported."""
        await trio.lowlevel.checkpoint()
        raise Unsupported(f"fault {kind}: {_FAULTS}")
