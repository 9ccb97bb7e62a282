"""One running system: server, root actor, transport and a client to it, set up and torn down in order.

The caller chooses the transport.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.handles import SystemHandle
from actors.limits import DEFAULT_LIMITS, Limits
from actors.mailbox import Server, open_client
from actors.nurseries import open_collapsing_nursery
from actors.system.actor import SystemActor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.agents.base import AgentFactory
    from actors.sandbox import GuestLauncher, Images
    from actors.seams import Seams
    from transports.base import Transport

__all__ = ["Parts", "open_actors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of a system; each may be replaced by another implementation of its interface."""

    transport: Transport
    # where the server listens, in the transport's own form
    address: str
    # additional addresses, for other programs
    listen: tuple[tuple[Transport, str], ...] = ()
    launch: GuestLauncher
    connect: AgentFactory
    images: Images
    seams: Seams
    limits: Limits = DEFAULT_LIMITS


@asynccontextmanager
async def open_actors(parts: Parts) -> AsyncGenerator[SystemHandle]:
    """A running system and a handle for it. Hides nurseries: an exception of the body is not wrapped in a group.

    On exit, cancelled or not, every sandbox is stopped in order, within `limits.shutdown_seconds`.
    """
    server = Server(limits=parts.limits)
    system = SystemActor(
        server=server, launch=parts.launch, connect=parts.connect, images=parts.images, limits=parts.limits
    )
    async with open_collapsing_nursery() as serving:
        await serving.start(server.run)
        await serving.start(parts.transport.serve, parts.address, server.accept)
        for transport, address in parts.listen:
            await serving.start(transport.serve, address, server.accept)
        async with open_collapsing_nursery() as acting:
            await acting.start(system.run)
            client_id = parts.seams.ids.fresh("client")
            epoch = parts.seams.ids.epoch()
            opening = open_client(parts.transport, parts.address, client_id=client_id, epoch=epoch, limits=parts.limits)
            async with opening as client:
                yield SystemHandle(client)
            acting.cancel_scope.cancel()
        # nothing is running any more; if cancelled, skip the goodbyes
        await server.aclose()
        serving.cancel_scope.cancel()
