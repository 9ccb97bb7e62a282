"""A guest that listens in its run directory, reached at addresses of one's choice too.

For `katrio guest`, whose clients are none of ours. What stands at the addresses passes bytes on: abstract names and vsock
belong to a network namespace, and must be the host's and not the guest's own. Not for what the guest does.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from actors.errors import GuestDied
from actors.nurseries import open_collapsing_nursery
from transports.agent_sockets import serve_addresses
from transports.relay import relay_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.sandbox import Guest
    from transports.address import Address

__all__ = ["serve_at"]


async def serve_at(
    guest: Guest, addresses: Sequence[Address], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Lead clients to a running guest until cancelled; `task_status` is told once they can dial.

    Args:
        addresses: the agent's; or those of a hyperstart's control and stream channels.

    Raises:
        GuestDied: the guest ended.
        AddressError, AddressInUse: see `transports.agent_sockets.serve_addresses`.
    """
    channels = guest.channels
    dialers = (channels.agent,) if channels.streams is None else (channels.agent, channels.streams)
    async with open_collapsing_nursery() as listeners:
        pairs = [(address, relay_to(dial)) for address, dial in zip(addresses, dialers, strict=True)]
        # a kata agent takes a connection from each of its clients, a hyperstart one on each channel
        await listeners.start(partial(serve_addresses, several=channels.streams is None), pairs)
        task_status.started()
        reason = await guest.wait_gone()
        listeners.cancel_scope.cancel()
    raise GuestDied(f"the guest ended: {reason}")
