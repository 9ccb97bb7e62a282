"""The simulated world: a whole system whose guests, links, engine, clock and randomness come from one seed.

For `scenarios`, tests and chaos, inside a run of `actors.simulation.run`. Hub, actors, mailboxes, agents, both ends of
ttRPC and the guest's service, machine and conductor are the product's own. Not for nng: messages go over
`transports.memory`.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import trio

from actors.errors import InvalidArgument, NotFound, Unsupported
from actors.host.protocols import GuestProtocol
from actors.limits import SIMULATED_LIMITS, Limits
from actors.scenario.language.needs import NEEDS
from actors.schemas import descriptors
from actors.simulation.engine import SimulatedEngine
from actors.simulation.guests import SimulatedGuests
from actors.simulation.messages import TracedTransport
from actors.system.absent import AnyImage, launch_nothing
from actors.system.agents import LACKS, AgentConfig, AgentType, choose_agent
from actors.system.compose import Parts, open_actors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from actors.handles import SystemHandle
    from actors.simulation.run import Simulation

# inside a simulation there are no files
descriptors.load()

__all__ = ["FAULTS", "PROBES", "SimulatedWorld", "open_simulated"]

# what a scenario may ask past the guest, by the kind of its probe
PROBES: Mapping[str, Callable[[SimulatedEngine, str], str]] = MappingProxyType(
    {
        "freezer": lambda engine, container: "frozen" if engine.is_frozen(container) else "thawed",
        "processes": lambda engine, container: str(engine.count_processes(container)),
    }
)
# what it may break here, by the kind of its fault
FAULTS: Mapping[str, Callable[[SimulatedGuests, str], None]] = MappingProxyType({"kill_guest": SimulatedGuests.kill})
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
    def provides(self) -> frozenset[str]:
        """Every need there is, but for what its agent can't do."""
        return frozenset(need for need in NEEDS if need not in self.missing)

    @property
    def missing(self) -> Mapping[str, str]:
        """Why it does not meet the others."""
        if self.engine is None:
            return dict.fromkeys(NEEDS, f"the {self.agent} agent runs nothing")
        return LACKS[AgentType(self.agent)]

    async def identify(self) -> None:
        """Its guests are ours."""
        await trio.lowlevel.checkpoint()

    async def probe(self, kind: str, sandbox: str, container: str) -> str:
        """Ask the engine, past agent and guest. Raises: Unsupported, NotFound."""
        await trio.lowlevel.checkpoint()
        if kind not in PROBES:
            raise Unsupported(f"probe {kind!r}: the simulated world knows {', '.join(PROBES)}")
        return PROBES[kind](self.guests.engine(sandbox), container)

    async def fault(self, kind: str, sandbox: str) -> None:
        """Break a part of the world. Raises: Unsupported, NotFound."""
        if kind not in FAULTS:
            raise Unsupported(f"fault {kind!r}: the simulated world knows {', '.join(FAULTS)}")
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
    """A system in the simulated world, and its end in order. Hides nurseries, see `actors.system.compose`.

    Raises: InvalidArgument, Unsupported: see `actors.system.agents.choose_agent`; also for an agent at an address.
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
        """Roots are everybody's: nothing writes into one."""
