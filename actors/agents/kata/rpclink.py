"""The interface through which calls reach a kata agent, independent of the dialect.

`link` implements it; `dialects` chooses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import msgspec
    import trio

    from actors.schemas.rpcs import Rpc

__all__ = ["RpcLink"]


class RpcLink(Protocol):
    """One actor's link. The owner runs `run` in its nursery; any number of tasks may use `call`."""

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Maintain the link until cancelled.

        Raises (before it has started): AgentUnreachable when nobody answers in time.
        """

    async def disconnect(self) -> None:
        """Close the link: calls in flight fail at once, and the next one redials. Idempotent."""

    async def call(self, rpc: Rpc, request: msgspec.Struct) -> object:
        """Make one call; a read-only one passes the remaining time to the guest.

        Raises:
            AgentUnreachable: the link is down and was not restored in time; nothing was sent.
            OutcomeUnknown: it broke while a call that changes state was in flight.
            AgentProtocolError: the agent violated the protocol, or sent another response type.
            Unsupported: the dialect lacks the call or the field; nothing was sent.
            KatrioError: the error for the agent's status, see `actors.schemas.status`.
        """
        ...
