"""Guests that run already, started by somebody else: a Kata agent or a hyperstart at an address.

For systems whose agent's configuration names one. Such a guest has one sandbox at a time, and lives on when that ends. Not for
starting guests: `actors.system.embedded`.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import trio

from actors.agents.base import Channels
from actors.errors import ResourceExhausted
from transports.agent_sockets import open_dialer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transports.address import Address
    from transports.recognise import Peer

__all__ = ["GuestElsewhere", "GuestsElsewhere"]


class GuestsElsewhere:
    """See `actors.sandbox.GuestLauncher`.

    Args:
        addresses: the agent's, or hyperstart's control and stream channel.
        peers: who is expected at each.
    """

    def __init__(self, addresses: Sequence[Address], peers: Sequence[Peer]) -> None:
        self._address = addresses[0]
        self._places = tuple(zip(addresses, peers, strict=True))
        self._taken_by: str | None = None

    async def __call__(self, sandbox: str, *, task_status: trio.TaskStatus[GuestElsewhere]) -> None:
        await trio.lowlevel.checkpoint()
        if self._taken_by is not None:
            raise ResourceExhausted(
                f"sandbox {sandbox!r}: the guest at {self._address} has one sandbox, {self._taken_by!r}; stop that first",
                limit=1,
            )
        self._taken_by = sandbox
        try:
            async with AsyncExitStack() as stack:
                dialers = [await stack.enter_async_context(open_dialer(*place)) for place in self._places]
                task_status.started(GuestElsewhere(Channels(*dialers)))
                await trio.sleep_forever()
        finally:
            self._taken_by = None


class GuestElsewhere:
    """See `actors.sandbox.Guest`."""

    def __init__(self, channels: Channels) -> None:
        self.channels = channels

    async def wait_gone(self) -> str:
        """Never: its end is told by its links, or by its silence."""
        await trio.sleep_forever()
        raise AssertionError

    def kill(self) -> None:
        """It is somebody else's."""
