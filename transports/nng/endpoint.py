"""One end of an nng link, whichever side: frames in, frames out, goodbye, and signs of life.

The listener and the link each own a socket and bring its messages here. Not for sockets and tasks: those are
theirs.
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

# how long a goodbye may take: what is queued, BYE, and the peer's BYE
GOODBYE_SECONDS = 1.0
# looks at a silent peer before it is asked whether it is there
LOOKS_BEFORE_PING = 4
# frames that carry neither messages nor acks, between two looks: one PING in four looks is what a peer has a use for, and
# ours may be slower than its own
IDLE_FRAMES = 256

_log = logging.getLogger("katrio")


class Heartbeat:
    """When a silent peer is asked, and when it is given up, in seconds of silence.

    The kernel tells of a peer that died; this is for one that is frozen. Long, because a program whose loop
    is held up by its own code looks the same. Silence is counted in looks, `every` seconds apart, and not by
    the clock: whoever was itself frozen for an hour must not give up everybody when it wakes.
    """

    __slots__ = ("every", "looks_before_death")

    def __init__(self, ping_after: float = 5.0, dead_after: float = 30.0) -> None:
        if not 0 < ping_after < dead_after:
            raise LocalProtocolError(f"ping_after={ping_after} must be above 0 and below dead_after={dead_after}")
        self.every = ping_after / LOOKS_BEFORE_PING
        self.looks_before_death = math.ceil(dead_after / self.every)


class Carrier(Protocol):
    """What an endpoint needs of the owner of its socket."""

    def transmit(self, endpoint: NngEndpoint, frame: bytes) -> bool:
        """Give nng one frame; False when it can't take it now."""
        ...

    def flush_soon(self, endpoint: NngEndpoint) -> None:
        """Have `endpoint.flush()` called in the next scheduler pass."""
        ...

    def arrived(self, endpoint: NngEndpoint) -> None:
        """Have `endpoint.hand_on()` called, soon and until nothing waits there."""
        ...

    def drop(self, endpoint: NngEndpoint) -> None:
        """The endpoint has ended; nothing more comes from it."""
        ...


class NngEndpoint:
    """See `transports.base.Endpoint`. Made when the peers have said hello.

    Attributes:
        pipe: nng's number of the connection.
        marked: for the carrier: whether it is on the list of those to flush.
        in_turn: for the carrier: whether it is in line to hand on what has come.
        waiting_bytes: of messages that came and have not had their turn.
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
        # messages handed on since the last flush: who gets several in one go will answer several in one go
        self._burst = 0
        # messages by frame that wait for their turn; of the first frame so many have had theirs
        self._arrived: deque[list[bytes]] = deque()
        self._handed = 0
        # how the link ends, once they all have had theirs
        self._parting: TransportError | None = None
        self._peer = peer
        self._carrier = carrier
        self._window = Window(message_bytes=message_bytes, credit=credit, account=account)
        # a frame that nng could not take
        self._stuck: bytes | None = None
        self._room = trio.lowlevel.ParkingLot()
        self._end: TransportError | None = None
        self._ended = trio.Event()
        self._closing = False
        # looks since the last frame
        self._silent_looks = 0
        self._asked = False
        # frames that carried nothing since the last look
        self._idle_frames = 0
        # looks at a peer that acks nothing while something waits for its acks
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
        """Set once nothing more comes or goes."""
        return self._ended

    def send_nowait(self, message: bytes) -> None:
        if self._end is not None or self._closing:
            raise self._end or EndpointClosed(f"the link to {self._peer} is being closed")
        window = self._window
        idle = window.idle
        window.push(message)
        if idle and self._burst <= 1 and not self._arrived:
            # nobody to wait for: out at once; what follows in this pass finds it un-acked and goes together
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

    # for the carrier

    def flush(self) -> None:
        """Send what may be sent."""
        window = self._window
        if self._arrived and not window.worth_a_frame and not self._closing:
            # more of what came has its turn soon, and is answered in the same frame
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
        """One nng message came. Its messages wait for their turn (`hand_on`), and so does the end that it may tell."""
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
        """Give the receiver up to `most` messages, or as many as make `size` bytes; whether more wait.

        Only then is the peer given its credit back: who sends faster than its turn comes waits, and nobody else.
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
        """nng says that the connection is gone: the peer died, closed it, or sent what nng cuts off."""
        if not self._closing and self._end is None:
            _log.info("the link to %s broke", self._peer)
        self._part(EndpointClosed("") if self._closing else EndpointBroken(f"{self._peer} is gone"))

    def watch(self, heartbeat: Heartbeat) -> None:
        """Look whether the peer is still there; called every `heartbeat.every` seconds, after draining the socket."""
        self._silent_looks += 1
        self._idle_frames = 0
        if self._silent_looks >= heartbeat.looks_before_death:
            silence = self._silent_looks * heartbeat.every
            self.finish(EndpointSilent(f"{self._peer} said nothing for {silence:.1f} s"))
        elif self._silent_looks >= LOOKS_BEFORE_PING and not self._asked:
            self._asked = self._control(Kind.PING)
        self._watch_acks(heartbeat)

    def _watch_acks(self, heartbeat: Heartbeat) -> None:
        """A peer that answers PING and takes nothing is as good as frozen, and we hold what it does not take."""
        waits = self._window.queued > 0 and self._window.acks == self._acks_seen
        self._acks_seen = self._window.acks
        self._unmoved_looks = self._unmoved_looks + 1 if waits else 0
        if self._unmoved_looks >= heartbeat.looks_before_death:
            seconds = self._unmoved_looks * heartbeat.every
            self.finish(EndpointSilent(f"{self._peer} acked nothing for {seconds:.1f} s"))

    def finish(self, cause: TransportError | None) -> None:
        """End it; `None` or `EndpointClosed` for an orderly end. Only the first call counts."""
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
        """It ends when what came before has been handed on."""
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
        # never past a frame that is stuck: a PING or PONG is asked for again, a BYE has its bound
        if self._stuck is not None:
            return False
        frame = self._window.control(kind)
        if not self._carrier.transmit(self, frame):
            # it may carry acks, without which the peer runs dry
            self._stuck = frame
            self._carrier.flush_soon(self)
        return True


def hello() -> bytes:
    """The first frame of each side."""
    return encode_frame(Kind.HELLO, 0, [MAGIC])


def check_hello(body: bytes) -> None:
    """Pass a first frame that we understand. Raises RemoteProtocolError, which says what it is otherwise."""
    frame = decode_frame(body)
    if frame.kind is not Kind.HELLO:
        raise RemoteProtocolError(f"its first frame is {frame.kind.name} and not HELLO")
    if frame.messages != [MAGIC]:
        spoken = b" ".join(frame.messages)[:64].decode("ascii", "backslashreplace")
        raise RemoteProtocolError(f"it speaks {spoken!r}, and we speak {MAGIC.decode()!r}")
