"""The simulated world: a whole system whose guests, links, engine, clock and randomness come from one seed.

For scenarios, tests and chaos runs, inside `actors.simulation.run`. Server, actors, mailboxes, agents, both ends of
ttRPC and the guest's service, model and executor are the real ones. nng is replaced by `transports.memory`.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import trio

from actors.agents.choice import AgentConfig, choose_agent
from actors.errors import InvalidArgument, NotFound
from actors.guest.compose import import_server
from actors.launchers.nothing import AnyImage, launch_nothing
from actors.limits import SIMULATED_LIMITS, Limits
from actors.node.protocols import GuestProtocol
from actors.scenario.language.needs import Fault, Need, Probe
from actors.schemas import descriptors
from actors.simulation.engine import SimulatedEngine
from actors.simulation.guests import SimulatedGuests
from actors.simulation.messages import TracedTransport
from actors.system.compose import Parts, open_actors
from actors.words import AgentType
from actors.worlds.lacks import lacks_of_type

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from actors.handles import SystemHandle
    from actors.simulation.run import Simulation

# now, as inside a simulation there are no files: what agents and guests import and read when they are chosen; but for gRPC's h2,
# which few need, and whose import the simulation lets pass
descriptors.load()
for agent in AgentType:
    if (protocol := choose_agent(agent).protocol) is not None:
        import_server(protocol)

__all__ = ["FAULTS", "PROBES", "SimulatedWorld", "open_simulated"]

# a probe's answer from the engine, bypassing the guest
PROBES: Mapping[Probe, Callable[[SimulatedEngine, str], str]] = MappingProxyType(
    {
        Probe.FREEZER: lambda engine, container: "frozen" if engine.is_frozen(container) else "thawed",
        Probe.PROCESSES: lambda engine, container: str(engine.count_processes(container)),
    }
)
# faults that can be injected here
FAULTS: Mapping[Fault, Callable[[SimulatedGuests, str], None]] = MappingProxyType(
    {Fault.KILL_GUEST: SimulatedGuests.kill}
)
_ADDRESS = "memory://system"
_IMAGE = "busybox"


@dataclass(frozen=True)
class SimulatedWorld:
    """See `actors.scenario.stage.world.World`."""

    system: SystemHandle
    agent: str
    guests: SimulatedGuests
    name: str = field(default="simulated", init=False)

    @property
    def engine(self) -> str | None:
        """`simulated`, unless the agent runs nothing."""
        return None if self.agent == AgentType.NOOP else "simulated"

    @property
    def missing(self) -> Mapping[Need, str]:
        """The unmet needs, with reasons."""
        return lacks_of_type(AgentType(self.agent))

    async def identify(self) -> None:
        """A no-op: its guests are ours."""
        await trio.lowlevel.checkpoint()

    async def probe(self, kind: Probe, sandbox: str, container: str) -> str:
        """Ask the engine, bypassing agent and guest. Raises: NotFound."""
        await trio.lowlevel.checkpoint()
        return PROBES[kind](self.guests.engine(sandbox), container)

    async def fault(self, kind: Fault, sandbox: str) -> None:
        """Inject a fault. Raises: NotFound."""
        FAULTS[kind](self.guests, sandbox)
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def open_simulated(
    simulation: Simulation,
    *,
    agent: str = "kata",
    config: AgentConfig | None = None,
    limits: Limits = SIMULATED_LIMITS,
) -> AsyncGenerator[SimulatedWorld]:
    """A system in the simulated world, shut down in order at the end. Hides nurseries, see `actors.system.compose`.

    Raises: InvalidArgument, Unsupported: see `actors.agents.choice.choose_agent`; also for a configured address.
    """
    chosen = choose_agent(agent, config)
    if chosen.addresses:
        raise InvalidArgument(f"nobody is at {chosen.addresses[0]} in a simulation", field="address")
    runs = chosen.type is not AgentType.NOOP
    engines = simulation.stream("engine")
    guests = SimulatedGuests(
        lambda sandbox: SimulatedEngine(engines, hostname=sandbox),
        rng=simulation.stream("links"),
        note=simulation.trace.data,
        limits=limits,
        protocol=chosen.protocol or GuestProtocol.TTRPC,
    )
    parts = Parts(
        transport=TracedTransport(simulation.trace.data),
        address=_ADDRESS,
        launch=guests if runs else launch_nothing,
        connect=chosen.connect,
        images=SimulatedImages() if runs else AnyImage(),
        seams=simulation.seams,
        limits=limits,
    )
    async with open_actors(parts) as system:
        yield SimulatedWorld(system=system, agent=agent, guests=guests)


class SimulatedImages:
    """See `actors.sandbox.Images`."""

    async def resolve(self, image: str, *, spoilt: bool) -> str:
        """See `actors.sandbox.Images`."""
        await trio.lowlevel.checkpoint()
        if image.startswith("/"):
            raise NotFound(f"image {image!r}: no such directory in the simulation", field="image")
        if image != _IMAGE:
            raise InvalidArgument(f"image {image!r}: the simulation has {_IMAGE!r}", field="image")
        return f"/images/{image}"

    async def release(self, rootfs: str) -> None:
        """Roots are shared and read-only: nothing to do."""
