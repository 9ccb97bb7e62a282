"""A guest put together of a kit's parts over the simulated engine, and reached as an agent under test.

For the tests of the conformance suite, in virtual time. Not for which parts are wrong: those are `lifecycle`, `processes`,
`streams`, `wire` and `pods`.
"""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio
from trio.testing import memory_stream_pair

from actors.conformance.case import Spoken
from actors.conformance.hyperstart import HyperstartTarget
from actors.conformance.kata import KataTarget
from actors.guest.services.kata import KataService
from actors.limits import DEFAULT_LIMITS
from actors.schemas.dialect import Dialect
from actors.seams import real_seams
from tests.support.hyperstart_guest import NamedPlatform
from transports.grpc.serving import ServerConnection as GrpcConnection
from transports.ttrpc.connection import ServerConnection

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from actors.conformance.subject import Target
    from actors.guest.conductor import Conductor
    from tests.support.planted.defect import Kit
    from transports.calls.connection import ServingConnection

__all__ = ["connection_of", "dialer", "open_hyperstart", "open_kata", "open_planted", "unheard"]


def unheard(_service: str, _method: str, _error: Exception) -> None:
    """What a defect raises of its own is told to its caller as INTERNAL, like an agent's panic that is caught."""


def dialer(
    nursery: trio.Nursery, serve: Callable[[trio.abc.Stream], Awaitable[None]]
) -> Callable[[], Awaitable[trio.abc.Stream]]:
    """Each dial is one more connection that `serve` has."""

    async def dial() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        ours, theirs = memory_stream_pair()
        nursery.start_soon(serve, theirs)
        return ours

    return dial


class _Service(KataService):
    """With calls of the kit's in their places."""

    def __init__(self, kit: Kit, conductor: Conductor, platform: NamedPlatform) -> None:
        super().__init__(conductor, DEFAULT_LIMITS, version="katrio planted", engine="simulated", platform=platform)
        self._methods = {
            **self._methods,
            **kit.containers(conductor, platform).methods(),
            **kit.processes(conductor, DEFAULT_LIMITS).methods(),
        }


def connection_of(spoken: Spoken) -> Callable[[int], ServingConnection]:
    """The answering side of a kata dialect."""
    if spoken is Spoken.GRPC:
        return lambda calls: GrpcConnection(calls, trio.current_time)
    return ServerConnection


@asynccontextmanager
async def open_kata(kit: Kit, spoken: Spoken, seed: int = 0) -> AsyncGenerator[KataTarget]:
    """Its kata service in a dialect."""
    engine = kit.engine(random.Random(seed))
    conductor = kit.conductor(engine, kit.machine(DEFAULT_LIMITS), DEFAULT_LIMITS)
    dialect = Dialect.GRPC if spoken is Spoken.GRPC else Dialect.TTRPC
    honest = _Service(kit, conductor, NamedPlatform(engine)).handlers(dialect)
    handlers = {name: partial(kit.around, handler) for name, handler in honest.items()}
    server = kit.server(handlers, connection_of(spoken), on_error=unheard)
    async with trio.open_nursery() as nursery:
        await nursery.start(conductor.run)

        async def serve(stream: trio.abc.Stream) -> None:
            await server.serve_stream(kit.rpc(stream))

        yield KataTarget(dialer(nursery, serve), rootfs="/", ids=real_seams().ids, spoken=spoken)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_hyperstart(kit: Kit, seed: int = 0) -> AsyncGenerator[HyperstartTarget]:
    """Its hyperstart service."""
    engine = kit.engine(random.Random(seed))
    conductor = kit.conductor(engine, kit.machine(DEFAULT_LIMITS), DEFAULT_LIMITS)
    service = kit.hyperstart(conductor, DEFAULT_LIMITS, platform=NamedPlatform(engine), share="/")
    async with trio.open_nursery() as nursery:
        await nursery.start(conductor.run)
        await nursery.start(service.run)

        async def control(stream: trio.abc.Stream) -> None:
            await service.serve_control(kit.control(stream))

        async def streams(stream: trio.abc.Stream) -> None:
            await service.serve_streams(kit.streams(stream))

        yield HyperstartTarget(
            dialer(nursery, control), dialer(nursery, streams), rootfs="", share="/", ids=real_seams().ids
        )
        nursery.cancel_scope.cancel()


def open_planted(kit: Kit, spoken: Spoken) -> AbstractAsyncContextManager[Target]:
    """A guest of that kit, speaking that."""
    return open_hyperstart(kit) if spoken is Spoken.HYPERSTART else open_kata(kit, spoken)
