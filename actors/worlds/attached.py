"""The attached world: a system served by another program, driven by requests; or an agent that somebody else runs.

For `katrio run --world attached`. Scenarios remove what they made there and leave everything else
alone. An agent is identified before each scenario, and steps that it can't do are skipped; a system reports what
it lacks by errors. Probes are not supported, as what really runs is unknown.
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
        agent: the kind of agent for `guests`; both are unknown for another program's system.
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
        """The engine of katrio's own guest, once identified; None: unknown."""
        return self._engine or None

    @property
    def missing(self) -> Mapping[Need, str]:
        """The unmet needs, with reasons."""
        return self._missing

    async def identify(self) -> None:
        """Ask the agent who it is: it may have been replaced. Raises: KatrioError: nobody answers."""
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
