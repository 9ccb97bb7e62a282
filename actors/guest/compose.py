"""Assembles a guest: engine, model and executor, and a server for each protocol.

Used by `serve`, in a guest process, and by the simulation, as tasks. One executor may have several servers.
Listening and shutdown order are in `serve`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import trio

from actors.guest.executor import Executor
from actors.guest.model import GuestModel
from actors.guest.services.hyperstart import HyperstartService
from actors.guest.services.kata import KataService
from actors.node.protocols import Channel, GuestProtocol
from actors.words import Dialect
from transports.ttrpc.server import TtrpcServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from actors.guest.engines.base import Engine
    from actors.guest.platform import Platform
    from actors.limits import Limits
    from transports.grpc.server import GrpcServer

__all__ = ["Compose", "Composed", "ProtocolServer", "compose"]

# rootfs paths of containers are as the guest's mount namespace sees them
_SHARE = "/"


class ProtocolServer(NamedTuple):
    """One protocol: start `run`, then pass each connection of a channel to its handler, which owns the stream.

    Listen on `channels` in order: once a host can dial the last, it can dial all.
    """

    channels: Mapping[Channel, Callable[[trio.abc.Stream], Awaitable[None]]]
    run: Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Composed:
    """An assembled guest. Run `executor.run` before any server."""

    executor: Executor
    servers: Mapping[GuestProtocol, ProtocolServer]


class Compose(Protocol):
    """The type of `compose`; tests substitute guests that behave like third-party agents."""

    def __call__(
        self,
        engine: Engine,
        limits: Limits,
        *,
        version: str,
        platform: Platform,
        on_error: Callable[[str, str, Exception], None],
    ) -> Composed:
        """See `compose`."""
        ...


def compose(
    engine: Engine,
    limits: Limits,
    *,
    version: str,
    platform: Platform,
    on_error: Callable[[str, str, Exception], None],
) -> Composed:
    """Assemble; nothing runs yet. `on_error`: see `transports.calls.server`."""
    executor = Executor(engine, GuestModel(limits), limits)
    executor.when_empty(platform.clear)
    kata = KataService(executor, limits, version=version, engine=engine.name, platform=platform)
    ttrpc = TtrpcServer(kata.handlers(Dialect.TTRPC), on_error=on_error)
    hyperstart = HyperstartService(executor, limits, platform=platform, share=_SHARE, on_error=on_error)
    servers = {
        GuestProtocol.TTRPC: ProtocolServer({Channel.AGENT: ttrpc.serve_stream}, _nothing_to_run),
        GuestProtocol.GRPC: _grpc_server(kata, on_error),
        GuestProtocol.HYPERSTART: ProtocolServer(
            {Channel.STREAMS: hyperstart.serve_streams, Channel.CONTROL: hyperstart.serve_control},
            hyperstart.run,
        ),
    }
    return Composed(executor, {name: _apart(name, server, on_error) for name, server in servers.items()})


def _grpc_server(kata: KataService, on_error: Callable[[str, str, Exception], None]) -> ProtocolServer:
    """h2 is imported only when gRPC is served: other guests start without."""
    servers: list[GrpcServer] = []

    async def serve(stream: trio.abc.Stream) -> None:
        await servers[0].serve_stream(stream)

    async def run(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        from transports.grpc.server import GrpcServer

        servers.append(GrpcServer(kata.handlers(Dialect.GRPC), on_error=on_error))
        await _nothing_to_run(task_status=task_status)

    return ProtocolServer({Channel.AGENT: serve}, run)


def _apart(name: str, server: ProtocolServer, on_error: Callable[[str, str, Exception], None]) -> ProtocolServer:
    """Isolate connections: an unexpected exception on one ends only that connection, not the others or the guest."""

    def alone(serve: Callable[[trio.abc.Stream], Awaitable[None]]) -> Callable[[trio.abc.Stream], Awaitable[None]]:
        async def serve_alone(stream: trio.abc.Stream) -> None:
            try:
                await serve(stream)
            except Exception as error:
                on_error(name, "connection", error)

        return serve_alone

    return ProtocolServer({channel: alone(serve) for channel, serve in server.channels.items()}, server.run)


async def _nothing_to_run(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """`run` for a protocol without state shared by its connections."""
    await trio.lowlevel.checkpoint()
    task_status.started()
