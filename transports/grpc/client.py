"""A client that speaks gRPC; calls are run by `transports.calls.client`."""

from __future__ import annotations

import trio

from transports.calls.client import CallClient
from transports.errors import RemoteProtocolError
from transports.grpc.calling import ClientConnection

__all__ = ["GrpcClient"]

# a gRPC server answers the preface at once; a ttRPC agent takes it for a frame of 1.3 GB, and may wait for its rest
GREETING_SECONDS = 5.0


class GrpcClient(CallClient):
    """Calls over one stream. The stream belongs to the client: `run` closes it."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._grpc = ClientConnection(trio.current_time)
        super().__init__(stream, self._grpc, "gRPC")

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `CallClient.run`; gives up an agent that does not answer in time with an HTTP/2 preface."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._expect_greeting)
            await super().run(task_status=task_status)
            nursery.cancel_scope.cancel()

    async def _expect_greeting(self) -> None:
        await trio.sleep(GREETING_SECONDS)
        if not self._grpc.greeted:
            await self.give_up(
                RemoteProtocolError(
                    f"the agent said nothing in HTTP/2 for {GREETING_SECONDS:g} s:"
                    " does it speak ttRPC, as today's Kata agents? then the dialect is ttrpc"
                )
            )
