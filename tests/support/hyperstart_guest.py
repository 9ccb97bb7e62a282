"""Our hyperstart guest over the simulated engine, in the test's own process and in virtual time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio
from trio.testing import memory_stream_pair

from actors.agents.hyperstart.agent import HyperstartAgent
from actors.agents.hyperstart.link import HyperstartLink
from actors.guest.executor import Executor
from actors.guest.model import GuestModel
from actors.guest.platform import BarePlatform
from actors.guest.services.hyperstart import HyperstartService
from actors.limits import DEFAULT_LIMITS
from tests.support.simulated import open_engine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from actors.limits import Limits
    from actors.simulation.engine import SimulatedEngine

__all__ = ["Guest", "NamedPlatform", "open_agent", "open_guest"]


@dataclass
class Guest:
    """A running guest; each dial is one more connection."""

    service: HyperstartService
    executor: Executor
    engine: SimulatedEngine
    nursery: trio.Nursery
    far_ends: list[trio.abc.Stream] = field(default_factory=list["trio.abc.Stream"])

    async def die(self) -> None:
        """Its channels close, as they do when a VM ends."""
        for stream in self.far_ends:
            await stream.aclose()

    async def dial_control(self) -> trio.abc.Stream:
        return await self._dial(self.service.serve_control)

    async def dial_streams(self) -> trio.abc.Stream:
        return await self._dial(self.service.serve_streams)

    async def _dial(self, serve: Callable[[trio.abc.Stream], Awaitable[None]]) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        ours, theirs = memory_stream_pair()
        self.far_ends.append(theirs)
        self.nursery.start_soon(serve, theirs)
        return ours


class NamedPlatform(BarePlatform):
    """A machine whose name its containers see."""

    def __init__(self, engine: SimulatedEngine) -> None:
        super().__init__()
        self._engine = engine

    def set_hostname(self, name: str) -> None:
        self._engine.set_hostname(name)


@asynccontextmanager
async def open_guest(
    limits: Limits = DEFAULT_LIMITS,
    kind: type[HyperstartService] = HyperstartService,
    bugs: list[tuple[str, Exception]] | None = None,
) -> AsyncGenerator[Guest]:
    """With a pod for whoever starts it; `bugs` takes what the service should not have raised, which else is an error."""

    def complain(_service: str, method: str, error: Exception) -> None:
        if bugs is None:
            raise error
        bugs.append((method, error))

    async with open_engine() as engine, trio.open_nursery() as nursery:
        executor = Executor(engine, GuestModel(limits), limits)
        service = kind(executor, limits, platform=NamedPlatform(engine), share="/", on_error=complain)
        await nursery.start(executor.run)
        await nursery.start(service.run)
        yield Guest(service, executor, engine, nursery)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_agent(guest: Guest, limits: Limits = DEFAULT_LIMITS) -> AsyncGenerator[HyperstartAgent]:
    """A sandbox's agent whose link is up."""
    link = HyperstartLink(guest.dial_control, guest.dial_streams, limits)
    agent = HyperstartAgent(link, limits, share="/")
    async with trio.open_nursery() as nursery:
        await nursery.start(agent.run)
        yield agent
        nursery.cancel_scope.cancel()
