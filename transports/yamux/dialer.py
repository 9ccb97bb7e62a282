"""A serial channel that carries yamux: something to dial for a host, and to serve for a guest.

A host's side is one session for the channel's life, a stream of it for each connection. Not for the frames (`session`).
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import trio

from transports.errors import RemoteProtocolError, TransportError, Unreachable
from transports.stream import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS
from transports.yamux.channel import YamuxChannel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from transports.base import Dialer
    from transports.yamux.channel import YamuxStream

__all__ = ["open_yamux_dialer", "serve_yamux"]

# behind an open channel the agent's process answers, or is not there
PING_SECONDS = 1.0


@asynccontextmanager
async def open_yamux_dialer(dial_channel: Dialer) -> AsyncGenerator[Dialer]:
    """A dialer of streams over one channel, which is dialled when it is there and again when it has ended.

    Hides a nursery. The dialer raises:
        Unreachable: the channel is not there (yet), or has ended.
        LocalProtocolError: too many streams are open.
    """
    shared = _Shared(dial_channel)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shared.run)
            yield shared.dial
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # the body's own error, plain as it was
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from group.exceptions[0].__cause__
        raise


class _Shared:
    def __init__(self, dial_channel: Dialer) -> None:
        self._dial_channel = dial_channel
        self._channel: YamuxChannel | None = None
        self._wanted = trio.Event()
        self._why: TransportError = Unreachable("the channel was not dialled yet")
        self._tried = trio.Event()

    async def run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            # not before somebody wants a stream: a channel has one user at a time
            await self._wanted.wait()
            try:
                channel = YamuxChannel(await self._dial_channel(), client=True)
            except TransportError as error:
                self._why = error
            else:
                if await self._use(channel):
                    pause = FIRST_PAUSE_SECONDS
            self._wanted = trio.Event()
            self._tell_tried()
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _use(self, channel: YamuxChannel) -> bool:
        """Until it ends; whether it was ever good. A channel opens whether or not somebody is behind it: a ping tells."""
        async with trio.open_nursery() as nursery:
            await nursery.start(channel.run)
            with trio.move_on_after(PING_SECONDS) as bound:
                try:
                    await channel.ping()
                except TransportError as error:
                    self._why = error if isinstance(error, RemoteProtocolError) else Unreachable(str(error))
            answered = channel.ended is None and not bound.cancelled_caught
            if answered:
                self._channel = channel
                self._tell_tried()
                await channel.wait_ended()
                self._channel = None
                self._why = Unreachable(f"the channel has ended: {channel.ended}")
            elif bound.cancelled_caught:
                self._why = Unreachable(
                    f"nobody answers a yamux ping within {PING_SECONDS:g} s: is the agent up, and does it speak yamux?"
                )
            nursery.cancel_scope.cancel()
        return answered

    def _tell_tried(self) -> None:
        self._tried.set()
        self._tried = trio.Event()

    async def dial(self) -> YamuxStream:
        if self._channel is None:
            self._wanted.set()
            await self._tried.wait()
        if self._channel is None:
            raise type(self._why)(*self._why.args)
        return await self._channel.open_stream()


async def serve_yamux(stream: trio.abc.Stream, handler: Callable[[trio.abc.Stream], Awaitable[object]]) -> None:
    """Be the guest's side of a channel until it ends: a task for each stream that the host opens. Closes the channel."""
    channel = YamuxChannel(stream, client=False)

    async def serve_stream(accepted: YamuxStream) -> None:
        async with accepted:
            await handler(accepted)

    async with trio.open_nursery() as nursery:
        await nursery.start(channel.run)
        with suppress(TransportError):
            while True:
                nursery.start_soon(serve_stream, await channel.accept())
        nursery.cancel_scope.cancel()
