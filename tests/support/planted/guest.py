"""A guest put together of a kit's parts over the simulated engine, and reached as an agent under test.

For the tests of the conformance suite, in virtual time. Not for which parts are wrong: those are `lifecycle`, `processes`,
`streams`, `wire` and `pods`.
"""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from trio.testing import memory_stream_pair

from actors.conformance.hyperstart import HyperstartTarget
from actors.conformance.kata import KataTarget
from actors.limits import DEFAULT_LIMITS
from actors.node.protocols import Channel, GuestProtocol
from actors.seams import real_seams
from tests.support.hyperstart_guest import NamedPlatform
from tests.support.planted.composing import compose_kit, grpc_connection
from transports.ttrpc.connection import ServerConnection

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from actors.conformance.subject import Target
    from actors.guest.compose import Composed
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


def connection_of(protocol: GuestProtocol) -> Callable[[int], ServingConnection]:
    """The answering side of a kata dialect."""
    return grpc_connection if protocol is GuestProtocol.GRPC else ServerConnection


def _composed(kit: Kit, seed: int) -> Composed:
    engine = kit.engine(random.Random(seed))
    return compose_kit(
        kit, engine, DEFAULT_LIMITS, version="katrio planted", platform=NamedPlatform(engine), on_error=unheard
    )


@asynccontextmanager
async def open_kata(kit: Kit, protocol: GuestProtocol, seed: int = 0) -> AsyncGenerator[KataTarget]:
    """Its kata service in a dialect."""
    composed = _composed(kit, seed)
    face = composed.servers[protocol]
    async with trio.open_nursery() as nursery:
        await nursery.start(composed.executor.run)
        await nursery.start(face.run)
        serve = face.channels[Channel.AGENT]
        yield KataTarget(dialer(nursery, serve), rootfs="/", ids=real_seams().ids, protocol=protocol)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_hyperstart(kit: Kit, seed: int = 0) -> AsyncGenerator[HyperstartTarget]:
    """Its hyperstart service."""
    composed = _composed(kit, seed)
    face = composed.servers[GuestProtocol.HYPERSTART]
    control, streams = face.channels[Channel.CONTROL], face.channels[Channel.STREAMS]
    async with trio.open_nursery() as nursery:
        await nursery.start(composed.executor.run)
        await nursery.start(face.run)
        yield HyperstartTarget(
            dialer(nursery, control), dialer(nursery, streams), rootfs="", share="/", ids=real_seams().ids
        )
        nursery.cancel_scope.cancel()


def open_planted(kit: Kit, protocol: GuestProtocol) -> AbstractAsyncContextManager[Target]:
    """A guest of that kit, speaking that."""
    return open_hyperstart(kit) if protocol is GuestProtocol.HYPERSTART else open_kata(kit, protocol)
