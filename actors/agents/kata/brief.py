"""A link that closes when no call is in progress: virtcontainers' LongLiveConn = false.

There, every call closed the shared client, aborting concurrent calls; here the last call to end closes it. The
inner link redials for the next call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    import msgspec

    from actors.agents.kata.rpclink import RpcLink
    from actors.schemas.rpcs import Rpc

__all__ = ["BriefLink"]


class BriefLink:
    """See `actors.agents.kata.rpclink.RpcLink`."""

    def __init__(self, link: RpcLink) -> None:
        self._link = link
        self._calls = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self._link.run(task_status=task_status)

    async def disconnect(self) -> None:
        await self._link.disconnect()

    async def call(self, rpc: Rpc, request: msgspec.Struct) -> object:
        self._calls += 1
        try:
            return await self._link.call(rpc, request)
        finally:
            self._calls -= 1
            if not self._calls:
                # closing completes in any case; a cancelled caller need not wait for it
                await self._link.disconnect()
