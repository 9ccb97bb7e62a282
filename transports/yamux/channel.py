"""A yamux session under Trio: one task reads the channel, one writes it, and each stream is a `trio.abc.Stream`.

The owner starts `run` in its nursery. Dialling and redialling are in `dialer`.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import trio

from transports.errors import (
    EndpointBroken,
    EndpointClosed,
    RemoteProtocolError,
    TransportError,
    Unreachable,
    WrongPeer,
)
from transports.portions import PortionReader
from transports.yamux.codec import GoAway
from transports.yamux.session import Ended, GoneAway, Opened, Ponged, Readable, Reset, Session, Writable

if TYPE_CHECKING:
    from transports.yamux.session import Event

__all__ = ["YamuxChannel", "YamuxStream"]

RECEIVE_BYTES = 64 * 1024
# how long to wait for the peer to take a GO_AWAY
GOODBYE_SECONDS = 0.5


class YamuxChannel:
    """One side of a session over one byte stream, which belongs to it: `run` closes it.

    Attributes:
        ended: why the session ended; None while it lives.
    """

    def __init__(self, stream: trio.abc.Stream, *, client: bool) -> None:
        self._stream = stream
        self._session = Session(client=client, clock=trio.current_time)
        self._open: dict[int, YamuxStream] = {}
        self._to_write = trio.lowlevel.ParkingLot()
        self._written = trio.lowlevel.ParkingLot()
        self._to_accept = trio.lowlevel.ParkingLot()
        self._to_open = trio.lowlevel.ParkingLot()
        self._pings: dict[int, trio.Event] = {}
        self._last_ping = 0
        self._over = trio.Event()
        self.ended: TransportError | None = None

    async def wait_ended(self) -> None:
        """Return once the session has ended."""
        await self._over.wait()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve streams until the channel ends or this is cancelled; all streams end with it. See `ended`."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, nursery.cancel_scope)
                task_status.started()
                self._end(await self._read())
                nursery.cancel_scope.cancel()
        finally:
            self._end(EndpointClosed("the yamux channel was closed on our side"))
            await self._say_goodbye()
            # shielded, and never blocks: a Cancelled raised here would hide the error that ended the connection
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)

    async def open_stream(self) -> YamuxStream:
        """A new stream; waits only while the peer has too many unacknowledged ones.

        Raises:
            Unreachable: the session has ended, or the peer takes no new streams.
            LocalProtocolError: too many are open.
        """
        await trio.lowlevel.checkpoint()
        while self.ended is None and not self._session.may_open:
            await self._to_open.park()
        if self.ended is not None:
            raise Unreachable(f"the yamux channel has ended: {self.ended}")
        return self._made(self._session.open())

    async def accept(self) -> YamuxStream:
        """The next stream that the peer opened. Raises: TransportError, why the session ended."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            if self.ended is not None:
                raise self._again()
            stream = self._session.accept()
            if stream is not None:
                made = self._made(stream)
                await trio.lowlevel.cancel_shielded_checkpoint()
                return made
            await self._to_accept.park()

    async def ping(self) -> None:
        """Return once the peer has answered; the caller sets the timeout. Raises: TransportError, why the session ended."""
        self._last_ping = (self._last_ping + 1) & 0xFFFF_FFFF
        answered = self._pings[self._last_ping] = trio.Event()
        value = self._last_ping
        try:
            if self.ended is None:
                self._session.ping(value)
                self.wake_writer()
                await answered.wait()
            if self.ended is not None:
                raise self._again()
        finally:
            del self._pings[value]

    def _made(self, number: int) -> YamuxStream:
        stream = self._open[number] = YamuxStream(self, self._session, number)
        self.wake_writer()
        return stream

    def _again(self) -> TransportError:
        # a new instance for each task: one shared instance would accumulate every task's traceback
        assert self.ended is not None
        return type(self.ended)(*self.ended.args)

    def wake_writer(self) -> None:
        """A stream has data to send."""
        self._to_write.unpark_all()

    def forget(self, number: int) -> None:
        """A stream has closed."""
        self._open.pop(number, None)
        self._wake_openers()

    def _wake_openers(self) -> None:
        if self._to_open and self._session.may_open:
            self._to_open.unpark_all()

    async def _read(self) -> TransportError:
        reader = PortionReader(self._stream, lambda: self._session.lacking)
        while True:
            while self._session.full:
                await self._written.park()
            try:
                data = await reader.receive()
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                if isinstance(error.__cause__, WrongPeer):
                    return error.__cause__
                return EndpointBroken(f"the yamux channel broke: {error.__cause__ or error}")
            if not data:
                return EndpointBroken("the peer closed the yamux channel")
            try:
                events = self._session.receive_data(data)
            except RemoteProtocolError as error:
                return error
            for event in events:
                self._tell(event)
            if self.ended is not None:
                return self.ended
            self._wake_openers()
            if self._session.sending:
                self.wake_writer()

    def _tell(self, event: Event) -> None:
        match event:
            case Opened():
                self._to_accept.unpark()
            case Ponged(value):
                if value in self._pings:
                    self._pings[value].set()
            case GoneAway(code):
                if code != GoAway.NORMAL:
                    self._end(EndpointBroken(f"the peer ended the yamux session with code {code}"))
            case Readable(number) | Ended(number):
                if number in self._open:
                    self._open[number].readable.unpark_all()
            case Writable(number):
                if number in self._open:
                    self._open[number].writable.unpark_all()
            case Reset(number):
                if number in self._open:
                    self._open[number].wake()

    async def _write(self, scope: trio.CancelScope) -> None:
        while True:
            data, events = self._session.data_to_send()
            for event in events:
                self._tell(event)
            if not data:
                await self._to_write.park()
                continue
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                self._end(EndpointBroken(f"the yamux channel broke: {error.__cause__ or error}"))
                scope.cancel()
                return
            self._written.unpark_all()

    async def _say_goodbye(self) -> None:
        """Send the GO_AWAY that `Session` has queued for a protocol violation."""
        if self._session.failure is None:
            return
        # shielded: the task that accepts streams cancels this channel as soon as they fail
        with trio.move_on_after(GOODBYE_SECONDS, shield=True):
            try:
                await self._stream.send_all(self._session.data_to_send()[0])
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return

    def _end(self, why: TransportError) -> None:
        if self.ended is not None:
            return
        self.ended = why
        self._over.set()
        self._to_accept.unpark_all()
        self._to_open.unpark_all()
        for stream in list(self._open.values()):
            stream.wake()
        for answered in self._pings.values():
            answered.set()


class YamuxStream(trio.abc.HalfCloseableStream):
    """One stream of a channel; errors are `trio.abc.Stream`'s own."""

    def __init__(self, channel: YamuxChannel, session: Session, number: int) -> None:
        self._channel = channel
        self._session = session
        self._number = number
        self._closed = False
        self._ended = False
        self._sending = False
        self._receiving = False
        # waiting tasks; the channel wakes them
        self.readable = trio.lowlevel.ParkingLot()
        self.writable = trio.lowlevel.ParkingLot()

    def wake(self) -> None:
        """The stream has ended: wake the waiters of both directions."""
        self.readable.unpark_all()
        self.writable.unpark_all()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Queue all of `data`, subject to the peer's window. See `trio.abc.SendStream`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._begin_sending()
        try:
            with memoryview(data) as rest:
                sent = 0
                self._check()
                while sent < len(rest):
                    taken = self._session.send(self._number, rest[sent:])
                    sent += taken
                    self._channel.wake_writer()
                    if not taken:
                        await self.writable.park()
                    self._check()
        finally:
            self._sending = False
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room. See `trio.abc.SendStream`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._begin_sending()
        try:
            self._check()
            while not self._session.room(self._number):
                await self.writable.park()
                self._check()
        finally:
            self._sending = False
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def send_eof(self) -> None:
        """Half-close: send no more; reading continues. See `trio.abc.HalfCloseableStream`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._sending:
            raise trio.BusyResourceError("another task sends on this stream")
        if not self._ended:
            self._check()
            self._ended = True
            self._session.end(self._number)
            self._channel.wake_writer()
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next bytes; empty at end of stream. See `trio.abc.ReceiveStream`."""
        most = RECEIVE_BYTES if max_bytes is None else operator.index(max_bytes)
        if most < 1:
            raise ValueError("max_bytes must be at least 1")
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._receiving:
            raise trio.BusyResourceError("another task receives on this stream")
        self._receiving = True
        try:
            while True:
                self._check(reading=True)
                data = self._session.read(self._number, most)
                if data or self._session.peer_ended(self._number):
                    break
                await self.readable.park()
        finally:
            self._receiving = False
        if self._session.sending:
            self._channel.wake_writer()
        await trio.lowlevel.cancel_shielded_checkpoint()
        return data

    async def aclose(self) -> None:
        """Close both directions; queued data is still sent. Idempotent."""
        if not self._closed:
            self._closed = True
            self._session.close(self._number)
            self._channel.forget(self._number)
            self._channel.wake_writer()
            self.wake()
        await trio.lowlevel.checkpoint()

    def _begin_sending(self) -> None:
        if self._sending:
            raise trio.BusyResourceError("another task sends on this stream")
        if self._ended and not self._closed:
            raise trio.ClosedResourceError("this stream was ended")
        self._sending = True

    def _check(self, *, reading: bool = False) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this stream was closed")
        if not self._session.has(self._number):
            raise trio.BrokenResourceError("the peer reset this stream")
        # data received before the channel ended is still delivered, end of stream included
        came = reading and (self._session.unread(self._number) or self._session.peer_ended(self._number))
        if self._channel.ended is not None and not came:
            raise trio.BrokenResourceError(str(self._channel.ended)) from self._channel.ended
