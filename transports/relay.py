"""Pass bytes on between two streams, until either ends.

For a guest that is reached at another address than it listens on itself. Not for looking into what passes.
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

# the far side is on this machine and listens: longer means that it is ending
DIAL_SECONDS = 5.0
# each is two descriptors and two tasks; a system has one for each of its containers
MOST_PEERS = 512


async def relay(one: trio.abc.Stream, other: trio.abc.Stream) -> None:
    """Both ways until one of them ends, what it had said by then passed on; closes both. Holds one read each way."""

    async def pump(source: trio.abc.Stream, sink: trio.abc.Stream, scope: trio.CancelScope) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await source.receive_some():
                try:
                    await sink.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    # it takes no more, and has perhaps said why: the other pump passes that on, and meets its end
                    return
        scope.cancel()

    async with one, other, trio.open_nursery() as nursery:
        nursery.start_soon(pump, one, other, nursery.cancel_scope)
        nursery.start_soon(pump, other, one, nursery.cancel_scope)


def relay_to(dial: Dialer) -> Handler:
    """A listener's handler: each peer gets a connection of its own to what `dial` reaches, or is closed."""
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
