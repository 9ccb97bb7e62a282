"""Forward bytes between two streams, until either ends.

For a guest reachable at an address other than the one it listens on itself.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from transports.errors import TransportError
from transports.stream import dial_with_backoff

if TYPE_CHECKING:
    from transports.agent_sockets import Handler
    from transports.base import Dialer

__all__ = ["relay", "relay_to"]

# the peer is local and already listening: taking longer means that it is shutting down
DIAL_SECONDS = 5.0
# two descriptors and two tasks each; a system needs one per container
MOST_PEERS = 512


async def relay(one: trio.abc.Stream, other: trio.abc.Stream) -> None:
    """Forward both ways until one stream ends, flush what it had sent, then close both. Buffers one read each way."""

    async def pump(source: trio.abc.Stream, sink: trio.abc.Stream, scope: trio.CancelScope) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await source.receive_some():
                try:
                    await sink.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    # it accepts no more data, but may have sent the reason: the other pump forwards that, and sees the end
                    return
        scope.cancel()

    async with one, other, trio.open_nursery() as nursery:
        nursery.start_soon(pump, one, other, nursery.cancel_scope)
        nursery.start_soon(pump, other, one, nursery.cancel_scope)


def relay_to(dial: Dialer) -> Handler:
    """A listener's handler: each peer is connected to what `dial` reaches, or closed."""
    peers = 0

    async def handler(stream: trio.abc.Stream) -> None:
        nonlocal peers
        if peers == MOST_PEERS:
            return
        peers += 1
        try:
            with suppress(TransportError):
                await relay(stream, await dial_with_backoff(dial, seconds=DIAL_SECONDS))
        finally:
            peers -= 1

    return handler
