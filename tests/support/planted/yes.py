"""Agents that answer OK to everything, and do nothing: what no case that looks at an effect may take for an agent.

They say who they are well enough that a client goes on. Not for defects: those are of an agent that works.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from actors.conformance.hyperstart import HyperstartTarget
from actors.conformance.kata import KataTarget
from actors.node.protocols import GuestProtocol
from actors.schemas import agent as api
from actors.schemas.rpcs import RPCS, encode_response
from actors.seams import real_seams
from tests.support.planted.guest import connection_of, dialer, unheard
from tests.support.planted.wire import Anything
from transports.calls.server import CallServer
from transports.hyperstart.codec import Code
from transports.hyperstart.control import GuestControl

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from actors.conformance.subject import Target
    from transports.calls.connection import ServingConnection
    from transports.calls.server import CallContext, Handler

__all__ = ["YesHyperstart", "YesKata", "open_yes"]

API_VERSION = 4244
ANSWER_SECONDS = 0.02


def _replies() -> Mapping[tuple[str, str], bytes]:
    """What each RPC of the API is answered; all others empty."""
    known = {
        "Check": api.HealthCheckResponse(status=1),
        "Version": api.VersionCheckResponse(grpc_version="0.0.1", agent_version="3.0.0"),
    }
    return {
        (rpc.service, rpc.method): encode_response(rpc, known.get(rpc.method, rpc.response())) for rpc in RPCS.values()
    }


class YesKata(CallServer):
    """OK to every method of every service, in either dialect."""

    def __init__(self, connect: Callable[[int], ServingConnection]) -> None:
        replies = _replies()

        async def yes(_payload: bytes, context: CallContext) -> bytes:
            # so that time passes for who asks again and again
            await trio.sleep(ANSWER_SECONDS)
            return replies.get((context.service, context.method), b"")

        handlers: dict[tuple[str, str], Handler] = dict.fromkeys(replies, yes)
        super().__init__(handlers, connect, on_error=unheard)
        self._handlers = Anything(handlers, yes)


class YesHyperstart:
    """ACK to every command, NEXT for every byte; nothing ever comes on the stream channel."""

    async def serve_control(self, stream: trio.abc.Stream) -> None:
        control = GuestControl()
        async with stream:
            try:
                await stream.send_all(control.data_to_send())
                while control.failure is None and (data := await stream.receive_some()):
                    control.receive_data(bytes(data))
                    while (command := control.next_command()) is not None:
                        payload = API_VERSION.to_bytes(4) if command.code == Code.GETVERSION else b""
                        control.answer(command, payload)
                    await trio.sleep(ANSWER_SECONDS)
                    await stream.send_all(control.data_to_send())
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return

    async def serve_streams(self, stream: trio.abc.Stream) -> None:
        async with stream:
            try:
                while await stream.receive_some():
                    pass
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return


@asynccontextmanager
async def open_yes(protocol: GuestProtocol) -> AsyncGenerator[Target]:
    """Such an agent, speaking that."""
    async with trio.open_nursery() as nursery:
        if protocol is GuestProtocol.HYPERSTART:
            pod = YesHyperstart()
            control, streams = dialer(nursery, pod.serve_control), dialer(nursery, pod.serve_streams)
            yield HyperstartTarget(control, streams, rootfs="", share="/", ids=real_seams().ids)
        else:
            server = YesKata(connection_of(protocol))
            yield KataTarget(dialer(nursery, server.serve_stream), rootfs="/", ids=real_seams().ids, protocol=protocol)
        nursery.cancel_scope.cancel()
