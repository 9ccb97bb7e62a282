"""A serial channel that carries yamux: dial it from a host, serve it in a guest.

The host keeps one session for the channel's lifetime, and opens one stream per connection.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import trio
from trio_util import AsyncValue, RepeatedEvent

from transports.errors import RemoteProtocolError, TransportError, Unreachable
from transports.stream import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS
from transports.yamux.channel import YamuxChannel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from transports.base import Dialer
    from transports.yamux.channel import YamuxStream

__all__ = ["open_yamux_dialer", "serve_yamux"]

# interval of pings: one sent before the guest opened its port may be lost, and a reply may take any time
PING_SECONDS = 1.0
# a minute without any reply: another process may own the port by now, so reopen it
MOST_PINGS = 60


@asynccontextmanager
async def open_yamux_dialer(dial_channel: Dialer) -> AsyncGenerator[Dialer]:
    """A dialer of streams over one channel, which is dialled when available and redialled when it has ended.

    Hides a nursery. The dialer raises:
        Unreachable: the channel is not available (yet), or has ended.
        LocalProtocolError: too many streams are open.
    """
    shared = _Shared(dial_channel)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shared.run)
            yield shared.dial
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # unwrap the body's own exception from the group
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from group.exceptions[0].__cause__
        raise


class _Shared:
    def __init__(self, dial_channel: Dialer) -> None:
        self._dial_channel = dial_channel
        self._channel: YamuxChannel | None = None
        self._wanted = AsyncValue(False)
        self._why: TransportError = Unreachable("the channel was not dialled yet")
        self._tried = RepeatedEvent()

    async def run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            # only on demand: a channel has one user at a time
            await self._wanted.wait_value(True)  # pyright: ignore[reportUnknownMemberType]  # no types there
            try:
                channel = YamuxChannel(await self._dial_channel(), client=True)
            except TransportError as error:
                self._why = error
            else:
                if await self._use(channel):
                    pause = FIRST_PAUSE_SECONDS
            self._wanted.value = False
            self._tried.set()
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _use(self, channel: YamuxChannel) -> bool:
        """Run until the channel ends; whether it was ever good. Opening a channel proves nothing: a ping tells if a peer is there.

        Kept open while nobody answers: a redial would cut off a slow guest's session before it began.
        """
        good = False
        async with trio.open_nursery() as nursery:
            await nursery.start(channel.run)
            if await self._is_answered(channel, nursery):
                good = True
                self._channel = channel
                self._tried.set()
                await channel.wait_ended()
                self._channel = None
            if (ended := channel.ended) is not None:
                wrong = isinstance(ended, RemoteProtocolError) and not good
                self._why = ended if wrong else Unreachable(f"the channel has ended: {ended}")
            nursery.cancel_scope.cancel()
        return good

    async def _is_answered(self, channel: YamuxChannel, pings: trio.Nursery) -> bool:
        """Ping until any ping is answered, as long as a stream is wanted."""
        answered = trio.Event()

        async def ping() -> None:
            with suppress(TransportError):  # the channel reports its own end
                await channel.ping()
            answered.set()

        for count in range(1, MOST_PINGS + 1):
            await self._wanted.wait_value(True)  # pyright: ignore[reportUnknownMemberType]  # no types there
            pings.start_soon(ping)
            with trio.move_on_after(PING_SECONDS):
                await answered.wait()
                break
            seconds = count * PING_SECONDS
            self._why = Unreachable(
                f"nobody answered a yamux ping for {seconds:g} s: is the agent up, and does it speak yamux?"
            )
            self._wanted.value = False
            self._tried.set()
        return answered.is_set() and channel.ended is None

    async def dial(self) -> YamuxStream:
        if self._channel is None:
            self._wanted.value = True
            await self._tried.wait()
        if self._channel is None:
            raise type(self._why)(*self._why.args)
        return await self._channel.open_stream()


async def serve_yamux(stream: trio.abc.Stream, handler: Callable[[trio.abc.Stream], Awaitable[object]]) -> None:
    """Serve the guest's side of a channel until it ends: one task per stream that the host opens. Closes the channel."""
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
