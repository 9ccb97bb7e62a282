"""The noop agent: every verb succeeds at once with a zero result, and nothing is contacted.

For measuring the actors without a guest, and for callers that need an agent that can't fail; the zero
results are virtcontainers' own (a wait returns 0, a read end of file). Not a simulation: it keeps no
state, so a paused container has never run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import trio

from actors.agents.base import SandboxAgent
from actors.wire.reports import GuestDetails
from actors.wire.sandbox_verbs import Checked

if TYPE_CHECKING:
    from actors.agents.base import Channels
    from actors.limits import Limits

__all__ = ["NoopAgent", "connect_noop"]

R = TypeVar("R")


class NoopAgent(SandboxAgent):
    """See `actors.agents.base.AgentConnection`: every optional call returns the zero result."""

    @property
    def follows_processes(self) -> bool:
        """See `actors.agents.base.AgentConnection`: nothing runs, so nothing ends."""
        return False

    @property
    def spoils_roots(self) -> bool:
        """See `actors.agents.base.SandboxAgent`: nobody is there to write into one."""
        return False

    async def _without(self, verb: str, zero: R) -> R:
        await trio.lowlevel.checkpoint()
        return zero

    def lease(self) -> NoopAgent:
        """See `actors.agents.base.SandboxAgent`."""
        return NoopAgent()

    async def check(self) -> Checked:
        await trio.lowlevel.checkpoint()
        return Checked(serving=True, agent_version="noop")

    async def get_guest_details(self) -> GuestDetails:
        await trio.lowlevel.checkpoint()
        return GuestDetails(agent_version="noop")

    async def next_oom(self) -> str:
        # nothing runs, so nothing is OOM-killed
        await trio.sleep_forever()
        raise AssertionError


def connect_noop(channels: Channels, limits: Limits) -> NoopAgent:
    """The factory in the agents table; both arguments are unused, nothing is dialled."""
    return NoopAgent()
