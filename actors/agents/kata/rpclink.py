"""The port through which calls reach a kata agent, whatever dialect it speaks.

For the kata agent, and for whoever makes raw calls. `link` implements it; `dialects` chooses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import msgspec
    import trio

    from actors.schemas.rpcs import Rpc

__all__ = ["RpcLink"]


class RpcLink(Protocol):
    """One actor's link. The owner runs `run` in its nursery; `call` may be used by any number of tasks."""

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Keep the link until cancelled.

        Raises (before it has started): AgentUnreachable when nobody answers in time.
        """

    async def disconnect(self) -> None:
        """Close the link: calls in flight end at once, and the next one dials again. Idempotent."""

    async def call(self, rpc: Rpc, request: msgspec.Struct) -> object:
        """Make one call; a read-only one tells the guest how much time is left.

        Raises:
            AgentUnreachable: the link is down and did not come back in time; nothing was sent.
            OutcomeUnknown: it broke while a call that changes state was in flight.
            AgentProtocolError: the agent broke the protocol, or answered what is not the RPC's response.
            Unsupported: the dialect has no such call, or no such field; nothing was sent.
            KatrioError: what the agent's status stands for, see `actors.schemas.status`.
        """
        ...
