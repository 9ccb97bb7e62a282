"""One end of an nng link, on either side: framing, delivery, goodbye and heartbeat.

Theory of operation. A *carrier* (`link` or `listener`) owns the socket and the tasks; the endpoint has none and never
blocks, except in `send` and `aclose`, whose waiters park in `_room`. Inbound: `frame` decodes and queues in `_arrived`;
the carrier calls `hand_on` when it is this peer's turn, and only a handed-on frame returns credit, so a slow receiver
slows its own sender alone. Outbound: messages queue in `Window`; `flush` sends what credit allows. A frame that nng
can't take is `_stuck` and goes out before any other, retried by the flusher.

An endpoint ends once, in `finish`, which empties every queue, returns the accounted bytes, wakes all waiters and tells
the receiver. BYE or a lost pipe only set `_parting`: messages received before are delivered first. It can't wait for
ever: `aclose` is bounded by GOODBYE_SECONDS, and `watch` gives up a peer that is silent, or that acks nothing while
messages are queued.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from typing import TYPE_CHECKING, Protocol

import trio

from transports.errors import (
    EndpointBroken,
    EndpointBusy,
    EndpointClosed,
    EndpointSilent,
    LocalProtocolError,
    RemoteProtocolError,
    TransportError,
)
from transports.nng.frames import MAGIC, Frame, Kind, decode_frame, encode_frame
from transports.nng.window import Window

if TYPE_CHECKING:
    from transports.base import Receiver
    from transports.shared_bound import Account

__all__ = ["GOODBYE_SECONDS", "Carrier", "Heartbeat", "NngEndpoint"]

# bound on a goodbye: queued messages, BYE, and the peer's BYE
GOODBYE_SECONDS = 1.0
# heartbeat ticks of silence before a PING
LOOKS_BEFORE_PING = 4
# frames with neither messages nor acks, between two ticks: a peer needs one PING in four ticks, and our ticks may be
# slower than its own
IDLE_FRAMES = 256

_log = logging.getLogger("katrio")


class Heartbeat:
    """When to ping a silent peer and when to give it up, in seconds of silence.

    The kernel reports a dead peer; this detects a frozen one. Long, because a program whose event loop is blocked looks
    the same. Silence is counted in ticks, `every` seconds apart, not by the clock: a process that was itself frozen for
    an hour must not give up all peers when it wakes.
    """

    __slots__ = ("every", "looks_before_death")

    def __init__(self, ping_after: float = 5.0, dead_after: float = 30.0) -> None:
        if not 0 < ping_after < dead_after:
            raise LocalProtocolError(f"ping_after={ping_after} must be above 0 and below dead_after={dead_after}")
        self.every = ping_after / LOOKS_BEFORE_PING
        self.looks_before_death = math.ceil(dead_after / self.every)


class Carrier(Protocol):
    """What an endpoint needs of its socket's owner."""

    def transmit(self, endpoint: NngEndpoint, frame: bytes) -> bool:
        """Give nng one frame; False if it can't take it now."""
        ...

    def flush_soon(self, endpoint: NngEndpoint) -> None:
        """Have `endpoint.flush()` called in the next scheduler pass."""
        ...

    def arrived(self, endpoint: NngEndpoint) -> None:
        """Have `endpoint.hand_on()` called, soon and until nothing is waiting."""
        ...

    def drop(self, endpoint: NngEndpoint) -> None:
        """The endpoint has ended; it needs nothing more."""
        ...


class NngEndpoint:
    """See `transports.base.Endpoint`. Created after the HELLO exchange.

    Attributes:
        pipe: nng's connection id.
        marked: for the carrier: whether it is in the list to flush.
        in_turn: for the carrier: whether it is queued for `hand_on`.
        waiting_bytes: of received messages that are not handed on yet.
    """

    receiver: Receiver

    def __init__(
        self,
        peer: str,
        pipe: int,
        carrier: Carrier,
        *,
        message_bytes: int,
        credit: int,
        account: Account | None = None,
    ) -> None:
        self.pipe = pipe
        self.marked = False
        self.in_turn = False
        self.waiting_bytes = 0
        # messages handed on since the last flush: several at once will be answered by several at once
        self._burst = 0
        # received messages not handed on yet, by frame; `_handed` counts those of the first frame that are
        self._arrived: deque[list[bytes]] = deque()
        self._handed = 0
        # why the link ends, once all received messages are handed on
        self._parting: TransportError | None = None
        self._peer = peer
        self._carrier = carrier
        self._window = Window(message_bytes=message_bytes, credit=credit, account=account)
        # a frame that nng could not take yet
        self._stuck: bytes | None = None
        self._room = trio.lowlevel.ParkingLot()
        self._end: TransportError | None = None
        self._ended = trio.Event()
        self._closing = False
        # heartbeat ticks since the last frame
        self._silent_looks = 0
        self._asked = False
        # frames that carried nothing since the last tick
        self._idle_frames = 0
        # ack count at the last tick, and ticks without a new ack while messages are queued
        self._acks_seen = 0
        self._unmoved_looks = 0

    def __repr__(self) -> str:
        state = "open" if self._end is None else str(self._end)
        return f"<NngEndpoint {self._peer}: {state}; {self._window.queued} queued, {self._window.unacked} un-acked>"

    @property
    def peer(self) -> str:
        return self._peer

    @property
    def ended(self) -> trio.Event:
        """Set when the link has ended in both directions."""
        return self._ended

    def send_nowait(self, message: bytes) -> None:
        if self._end is not None or self._closing:
            raise self._end or EndpointClosed(f"the link to {self._peer} is being closed")
        window = self._window
        idle = window.idle
        window.push(message)
        if idle and self._burst <= 1 and not self._arrived:
            # nothing to coalesce with: send at once; later messages of this pass find it un-acked and share a frame
            self.flush()
        elif not self.marked:
            self._carrier.flush_soon(self)

    async def send(self, message: bytes) -> None:
        await trio.lowlevel.checkpoint()
        while True:
            try:
                self.send_nowait(message)
            except EndpointBusy:
                await self._room.park()
            else:
                return

    async def aclose(self) -> None:
        if self._end is not None or self._closing:
            await trio.lowlevel.checkpoint()
            return
        self._closing = True
        try:
            with trio.move_on_after(GOODBYE_SECONDS):
                while (self._window.queued or self._stuck is not None) and self._end is None:
                    await self._room.park()
                self._control(Kind.BYE)
                await self._ended.wait()
        finally:
            self.finish(None)

    # called by the carrier

    def flush(self) -> None:
        """Send what credit allows."""
        window = self._window
        if self._arrived and not window.worth_a_frame and not self._closing:
            # more received messages are handed on soon, and their replies share the frame
            return
        while (frame := self._stuck or window.next_frame()) is not None:
            if not self._carrier.transmit(self, frame):
                self._stuck = frame
                self._carrier.flush_soon(self)
                return
            self._stuck = None
        if self._room and (window.roomy if not self._closing else not window.queued):
            self._room.unpark_all()

    def frame(self, body: bytes) -> None:
        """Take one nng message. Its messages, and a BYE, take effect in order of arrival, through `hand_on`."""
        self._silent_looks = 0
        self._asked = False
        if self._end is not None or self._parting is not None:
            return
        try:
            frame = decode_frame(body)
            if frame.kind is not Kind.HELLO:
                self._window.take(frame)
            self._check_idle(frame)
        except RemoteProtocolError as error:
            self._break(error)
            return
        if frame.messages and frame.kind is Kind.DATA:
            self._arrived.append(frame.messages)
            self.waiting_bytes += sum(map(len, frame.messages))
            self._carrier.arrived(self)
        elif frame.kind is Kind.PING:
            self._control(Kind.PONG)
        elif frame.kind is Kind.BYE:
            self._part(EndpointClosed(f"the link to {self._peer} was closed"))
        elif frame.kind is Kind.HELLO:
            self._break(RemoteProtocolError("a second hello"))

    def hand_on(self, most: int, size: int) -> bool:
        """Give the receiver up to `most` messages, or about `size` bytes; whether more are waiting.

        A frame's credit is returned only when all its messages are handed on: backpressure reaches this sender alone.
        """
        arrived = self._arrived
        if not self.marked:
            self._burst = 0
        while arrived and most > 0 and size > 0 and self._end is None:
            messages = arrived[0]
            message = messages[self._handed]
            self._handed += 1
            if self._handed == len(messages):
                arrived.popleft()
                self._handed = 0
                self._window.handed_on()
            most -= 1
            size -= len(message)
            self.waiting_bytes -= len(message)
            self._burst += 1
            self.receiver.received(message)
        if not arrived and self._parting is not None:
            self._leave(self._parting)
        return bool(arrived)

    def lost(self) -> None:
        """nng lost the connection: the peer died, closed it, or sent something that nng rejects."""
        if not self._closing and self._end is None:
            _log.info("the link to %s broke", self._peer)
        self._part(EndpointClosed("") if self._closing else EndpointBroken(f"{self._peer} is gone"))

    def watch(self, heartbeat: Heartbeat) -> None:
        """Check that the peer is alive; called every `heartbeat.every` seconds, after draining the socket."""
        self._silent_looks += 1
        self._idle_frames = 0
        if self._silent_looks >= heartbeat.looks_before_death:
            silence = self._silent_looks * heartbeat.every
            self.finish(EndpointSilent(f"{self._peer} said nothing for {silence:.1f} s"))
        elif self._silent_looks >= LOOKS_BEFORE_PING and not self._asked:
            self._asked = self._control(Kind.PING)
        self._watch_acks(heartbeat)

    def _watch_acks(self, heartbeat: Heartbeat) -> None:
        """A peer that answers PING but acks nothing counts as frozen: we hold what it does not take."""
        waits = self._window.queued > 0 and self._window.acks == self._acks_seen
        self._acks_seen = self._window.acks
        self._unmoved_looks = self._unmoved_looks + 1 if waits else 0
        if self._unmoved_looks >= heartbeat.looks_before_death:
            seconds = self._unmoved_looks * heartbeat.every
            self.finish(EndpointSilent(f"{self._peer} acked nothing for {seconds:.1f} s"))

    def finish(self, cause: TransportError | None) -> None:
        """End the link; `None` or `EndpointClosed` for an orderly end. Only the first call counts."""
        if self._end is not None:
            return
        orderly = cause is None or isinstance(cause, EndpointClosed)
        self._end = EndpointClosed(f"the link to {self._peer} was closed") if orderly else cause
        self._arrived.clear()
        self.waiting_bytes = 0
        self._window.close()
        self._ended.set()
        self._room.unpark_all()
        self._carrier.drop(self)
        self.receiver.gone(None if orderly else self._end)

    def _part(self, cause: TransportError) -> None:
        """End the link after received messages are handed on."""
        if self._parting is None:
            self._parting = cause
        if not self._arrived:
            self._leave(cause)

    def _leave(self, cause: TransportError) -> None:
        if isinstance(cause, EndpointClosed) and not self._closing and self._end is None:
            self._control(Kind.BYE)
        self.finish(cause)

    def _check_idle(self, frame: Frame) -> None:
        if not frame.messages and not frame.acked and frame.kind is not Kind.BYE:
            self._idle_frames += 1
            if self._idle_frames > IDLE_FRAMES:
                raise RemoteProtocolError("it floods the link with frames that carry nothing")

    def _break(self, error: RemoteProtocolError) -> None:
        _log.warning("closing the link to %s: %s", self._peer, error)
        self.finish(error)

    def _control(self, kind: Kind) -> bool:
        # never overtake a stuck frame: PING and PONG are repeated, BYE is bounded in time
        if self._stuck is not None:
            return False
        frame = self._window.control(kind)
        if not self._carrier.transmit(self, frame):
            # it may carry acks, without which the peer runs out of credit
            self._stuck = frame
            self._carrier.flush_soon(self)
        return True


def hello() -> bytes:
    """The first frame of each side."""
    return encode_frame(Kind.HELLO, 0, [MAGIC])


def check_hello(body: bytes) -> None:
    """Accept a HELLO of our version. Raises: RemoteProtocolError, which says what was received instead."""
    frame = decode_frame(body)
    if frame.kind is not Kind.HELLO:
        raise RemoteProtocolError(f"its first frame is {frame.kind.name} and not HELLO")
    if frame.messages != [MAGIC]:
        spoken = b" ".join(frame.messages)[:64].decode("ascii", "backslashreplace")
        raise RemoteProtocolError(f"it speaks {spoken!r}, and we speak {MAGIC.decode()!r}")
