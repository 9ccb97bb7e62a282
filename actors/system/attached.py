"""The attached world: a system that another program serves, driven by its mail; or an agent that somebody else runs.

For `katrio run --world attached`. What scenarios make there is theirs and is taken down by them; what was there before is
left alone. Not for opening the connection: `actors.api`. What really runs is not known here, so no probe is answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import trio

from actors.errors import Unsupported
from actors.system.agents import LACKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.handles import SystemHandle

__all__ = ["AttachedWorld"]

# whether that system's engine has them all is told by its own errors; to break parts of it is not ours
_NEEDS = (
    "containers",
    "exec",
    "pause",
    "tty",
    "signals",
    "signal_exits",
    "exec_errors",
    "held_output",
    "process_list",
    "stdin",
    "images",
    "isolation",
    "limits",
    "oom",
    "stats",
    "cgroups",
)


@dataclass(frozen=True)
class AttachedWorld:
    """See `actors.scenario.world.World`. Which engine it has is not known; which agent, when it is ours."""

    system: SystemHandle
    agent: str = "unknown"
    name: str = field(default="attached", init=False)
    engine: str | None = field(default=None, init=False)

    @property
    def provides(self) -> frozenset[str]:
        """The needs that it may meet."""
        return frozenset(need for need in _NEEDS if need not in self._lacks)

    @property
    def missing(self) -> Mapping[str, str]:
        """Why it does not meet the others."""
        return MappingProxyType({"faults": "what somebody else runs is not ours to break", **self._lacks})

    @property
    def _lacks(self) -> Mapping[str, str]:
        nothing: Mapping[str, str] = {}
        return next((lacks for agent, lacks in LACKS.items() if agent == self.agent), nothing)

    async def probe(self, kind: str, sandbox: str, container: str) -> str:
        """Raises: Unsupported."""
        await trio.lowlevel.checkpoint()
        raise Unsupported(f"probe {kind}: the attached world can't look past the system that it is attached to")

    async def fault(self, kind: str, sandbox: str) -> None:
        """Raises: Unsupported."""
        await trio.lowlevel.checkpoint()
        raise Unsupported(f"fault {kind}: what somebody else runs is not ours to break")
