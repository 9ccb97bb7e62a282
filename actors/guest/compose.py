"""Assembles a guest: engine, model and executor, and a server for each protocol.

Used by `serve`, in a guest process, and by the simulation, as tasks. One executor may have several servers.
Listening and shutdown order are in `serve`.

The modules of a protocol are imported with its server, as most guests have one: this is the only place in a guest that does so.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import trio

from actors.guest.executor import Executor
from actors.guest.model import GuestModel
from actors.node.protocols import Channel, GuestProtocol
from actors.words import Dialect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from actors.guest.engines.base import Engine
    from actors.guest.platform import Platform
    from actors.guest.services.hyperstart import HyperstartService
    from actors.guest.services.kata import KataService
    from actors.limits import Limits
    from transports.grpc.server import GrpcServer
    from transports.ttrpc.server import TtrpcServer

__all__ = ["Compose", "Composed", "ProtocolServer", "compose", "import_server"]

# rootfs paths of containers are as the guest's mount namespace sees them
_SHARE = "/"


class ProtocolServer(NamedTuple):
    """One protocol: start `run`, then pass each connection of a channel to its handler, which owns the stream.

    Listen on `channels` in order: once a host can dial the last, it can dial all.
    """

    channels: Mapping[Channel, Callable[[trio.abc.Stream], Awaitable[None]]]
    run: Callable[..., Awaitable[None]]


class Composed(NamedTuple):
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
    """Assemble; nothing runs yet, and a server is made when it is asked for. `on_error`: see `transports.calls.server`."""
    executor = Executor(engine, GuestModel(limits), limits)
    executor.when_empty(platform.clear)

    @cache
    def kata() -> KataService:
        # of both dialects together: it has files that come in pieces
        return _kata_service()(executor, limits, version=version, engine=engine.name, platform=platform)

    def ttrpc() -> ProtocolServer:
        server = _ttrpc_server()(kata().handlers(Dialect.TTRPC), on_error=on_error)
        return ProtocolServer({Channel.AGENT: server.serve_stream}, _nothing_to_run)

    def grpc() -> ProtocolServer:
        server = _grpc_server()(kata().handlers(Dialect.GRPC), on_error=on_error)
        return ProtocolServer({Channel.AGENT: server.serve_stream}, _nothing_to_run)

    def hyperstart() -> ProtocolServer:
        server = _hyperstart_service()(executor, limits, platform=platform, share=_SHARE, on_error=on_error)
        return ProtocolServer(
            {Channel.STREAMS: server.serve_streams, Channel.CONTROL: server.serve_control}, server.run
        )

    makers = {GuestProtocol.TTRPC: ttrpc, GuestProtocol.GRPC: grpc, GuestProtocol.HYPERSTART: hyperstart}
    return Composed(executor, _Servers(lambda protocol: _apart(protocol, makers[protocol](), on_error)))


def import_server(protocol: GuestProtocol) -> None:
    """Import what the protocol's server is made of, for a process that makes it later."""
    if protocol is GuestProtocol.HYPERSTART:
        _hyperstart_service()
    else:
        _kata_service()
        (_grpc_server if protocol is GuestProtocol.GRPC else _ttrpc_server)()


class _Servers(dict[GuestProtocol, ProtocolServer]):
    """Each made when it is first asked for."""

    def __init__(self, make: Callable[[GuestProtocol], ProtocolServer]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, protocol: GuestProtocol) -> ProtocolServer:
        server = self[protocol] = self._make(protocol)
        return server


def _kata_service() -> type[KataService]:
    from actors.guest.services.kata import KataService

    return KataService


def _ttrpc_server() -> type[TtrpcServer]:
    from transports.ttrpc.server import TtrpcServer

    return TtrpcServer


def _grpc_server() -> type[GrpcServer]:
    from transports.grpc.server import GrpcServer

    return GrpcServer


def _hyperstart_service() -> type[HyperstartService]:
    from actors.guest.services.hyperstart import HyperstartService

    return HyperstartService


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
