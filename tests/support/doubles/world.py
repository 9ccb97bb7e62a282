"""The attached world at a double, in memory and in virtual time: scenarios as they meet somebody else's agent.

For tests. A double is one agent's life: each scenario has a fresh one. Not for an address: `__main__`.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from actors.errors import ResourceExhausted
from actors.limits import DEFAULT_LIMITS
from actors.scenario.load import load_text
from actors.scenario.runner import run_scenario
from actors.seams import real_seams
from actors.simulation.world import SimulatedImages
from actors.system.agents import choose_agent
from actors.system.attached import AttachedWorld
from actors.system.compose import Parts, open_actors
from actors.system.elsewhere import GuestElsewhere
from tests.support.doubles.opening import DOUBLES, open_double
from transports.memory import MemoryTransport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.agents.base import Channels
    from actors.host.protocols import GuestProtocol
    from actors.scenario.load import Loaded
    from actors.scenario.runner import Result

__all__ = ["SCENARIOS", "load", "open_doubled_world", "run_at"]

SCENARIOS = sorted((Path(__file__).resolve().parents[3] / "scenarios").glob("*.yaml"))
_WORDS = {"ttrpc": ("kata", None), "grpc": ("kata", {"dialect": "grpc"}), "hyperstart": ("hyperstart", None)}


class _OneSandbox:
    """See `actors.sandbox.GuestLauncher`."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._taken = False

    async def __call__(self, sandbox: str, *, task_status: trio.TaskStatus[GuestElsewhere]) -> None:
        await trio.lowlevel.checkpoint()
        if self._taken:
            raise ResourceExhausted(f"sandbox {sandbox!r}: the guest has one already", limit=1)
        self._taken = True
        try:
            task_status.started(GuestElsewhere(self._channels))
            await trio.sleep_forever()
        finally:
            self._taken = False


@asynccontextmanager
async def open_doubled_world(channels: Channels, protocol: GuestProtocol) -> AsyncGenerator[AttachedWorld]:
    """A system whose agent is that double."""
    agent, config = _WORDS[protocol]
    parts = Parts(
        transport=MemoryTransport(),
        address="memory://doubled",
        launch=_OneSandbox(channels),
        connect=choose_agent(agent, config).connect,
        images=SimulatedImages(),
        seams=real_seams(),
        limits=DEFAULT_LIMITS,
    )
    async with open_actors(parts) as system:
        yield AttachedWorld(system, agent)


def load(path: Path) -> Loaded:
    """One of `SCENARIOS`."""
    return load_text(path.read_bytes(), str(path))


async def run_at(name: str, loaded: Loaded) -> Result:
    """A scenario at a fresh double of that name."""
    async with (
        open_double(name) as running,
        open_doubled_world(running.channels, DOUBLES[name].protocol) as world,
    ):
        return await run_scenario(loaded, world, listener=lambda _event: None)
