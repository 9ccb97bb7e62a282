"""Makes a guest that listens in its run directory reachable at other addresses too.

For `katrio guest`. Connections are relayed by the host process: abstract sockets and vsock belong to a network
namespace, which must be the host's, not the guest's.
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
    """Relay clients to a running guest until cancelled; reports `task_status` once they can dial.

    Args:
        addresses: the agent's; or hyperstart's control and stream channels.

    Raises:
        GuestDied: the guest ended.
        AddressError, AddressInUse: see `transports.agent_sockets.serve_addresses`.
    """
    channels = guest.channels
    dialers = (channels.agent,) if channels.streams is None else (channels.agent, channels.streams)
    async with open_collapsing_nursery() as listeners:
        pairs = [(address, relay_to(dial)) for address, dial in zip(addresses, dialers, strict=True)]
        # a kata agent accepts several clients, a hyperstart one per channel
        await listeners.start(partial(serve_addresses, several=channels.streams is None), pairs)
        task_status.started()
        reason = await guest.wait_gone()
        listeners.cancel_scope.cancel()
    raise GuestDied(f"the guest ended: {reason}")
