"""A guest put together of a kit's parts, over any engine: what `actors.guest.compose` does with the product's own.

For the planted defects, in memory, and for the doubles of others' agents, which real engines run under as well.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from actors.errors import KatrioError
from actors.guest.compose import Composed, ProtocolServer
from actors.guest.services.kata import KataService
from actors.node.protocols import Channel, GuestProtocol
from actors.words import Dialect
from transports.grpc.serving import ServerConnection as GrpcConnection
from transports.ttrpc.connection import ServerConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    import msgspec

    from actors.guest.engines.base import Engine
    from actors.guest.executor import Executor
    from actors.guest.platform import Platform
    from actors.guest.services.method import Method
    from actors.limits import Limits
    from tests.support.planted.defect import Kit, Told
    from transports.calls.connection import ServingConnection

__all__ = ["compose_kit", "grpc_connection"]


class _Service(KataService):
    """With calls of the kit's in their places, and its words for what fails."""

    def __init__(
        self, kit: Kit, executor: Executor, limits: Limits, *, version: str, engine: str, platform: Platform
    ) -> None:
        super().__init__(executor, limits, version=version, engine=engine, platform=platform)
        methods = {
            **self._methods,
            **kit.guest(executor.model, platform, limits, version=version, engine=engine).methods(),
            **kit.containers(executor, platform).methods(),
            **kit.processes(executor, limits).methods(),
        }
        told = kit.told
        self._methods = (
            methods if told is None else {name: _telling(told, name, method) for name, method in methods.items()}
        )


def _telling(told: Told, name: str, method: Method) -> Method:
    async def call(request: Any) -> msgspec.Struct:
        try:
            return await method(request)
        except KatrioError as error:
            raise told(name, error) from error

    return call


def grpc_connection(calls: int) -> GrpcConnection:
    """The answering side of gRPC."""
    return GrpcConnection(calls, trio.current_time)


def compose_kit(
    kit: Kit,
    engine: Engine,
    limits: Limits,
    *,
    version: str,
    platform: Platform,
    on_error: Callable[[str, str, Exception], None],
) -> Composed:
    """See `actors.guest.compose.compose`; the kit's own engine is not looked at."""
    executor = kit.executor(engine, kit.model(limits), limits)
    kata = _Service(kit, executor, limits, version=kit.version or version, engine=engine.name, platform=platform)
    hyperstart = kit.hyperstart(executor, limits, platform=platform, share="/", on_error=on_error)

    def kata_face(dialect: Dialect, connect: Callable[[int], ServingConnection]) -> ProtocolServer:
        handlers = {
            call: partial(kit.around, handler)
            for call, handler in kata.handlers(dialect).items()
            if call[1] not in kit.without
        }
        server = kit.server(handlers, connect, on_error=on_error)

        async def serve(stream: trio.abc.Stream) -> None:
            await server.serve_stream(kit.rpc(stream))

        return ProtocolServer({Channel.AGENT: serve}, _nothing_to_run)

    async def serve_control(stream: trio.abc.Stream) -> None:
        await hyperstart.serve_control(kit.control(stream))

    async def serve_streams(stream: trio.abc.Stream) -> None:
        await hyperstart.serve_streams(kit.streams(stream))

    faces = {
        GuestProtocol.TTRPC: kata_face(Dialect.TTRPC, ServerConnection),
        GuestProtocol.GRPC: kata_face(Dialect.GRPC, grpc_connection),
        GuestProtocol.HYPERSTART: ProtocolServer(
            {Channel.STREAMS: serve_streams, Channel.CONTROL: serve_control}, hyperstart.run
        ),
    }
    return Composed(executor, faces)


async def _nothing_to_run(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    await trio.lowlevel.checkpoint()
    task_status.started()
