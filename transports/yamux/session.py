"""A yamux session without I/O: streams, flow-control windows, bounds, and fair sending. Run by `channel`.

Theory of operation. Bytes in, events out; output is taken with `data_to_send`. Each stream has two windows: `granted`, what the
peer may still send, grows when half a window was `read`; `window` limits what we send. A stream with data and window is in `_turns`
and sends one frame per turn, so none starves the others; `send` queues up to `SEND_BYTES` and returns a smaller count for
backpressure: retry after `Writable`. Pings and window updates go first, from `_control`, and need no window, so both sides
can be out of window and still make progress; while the peer doesn't take them (`full`), nothing more is read from it.

A closed stream lingers until all its data is sent and the peer has ended it too: a reset would destroy data that the peer has not
read. What still comes for it is dropped, as in Go's yamux. A closed stream is reset only if the peer has used up its window and
would block for ever, or to make room for a new one (the oldest lingering one). So streams can't leak: there are at most
`MAX_STREAMS`. Frames that may still come for forgotten streams are counted in `Strays`; beyond that, the session ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from transports.errors import LocalProtocolError, RemoteProtocolError, Unreachable
from transports.numbers import Numbers
from transports.strays import IDLE, RESETS, WINDOWS, Bucket, Strays
from transports.yamux.codec import WINDOW_BYTES, Flag, Frame, FrameDecoder, GoAway, Kind, encode

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Ended", "Event", "GoneAway", "Opened", "Ponged", "Readable", "Reset", "Session", "Writable"]

# an actor uses one stream, and a sandbox has a few hundred actors at most
MAX_STREAMS = 512
# opened and unacknowledged streams, each way: Go's limit, beyond which it resets the next
BACKLOG = 256
# unread bytes of all streams: a hostile peer could fill every window of every stream
BUFFERED_BYTES = 32 * 1024 * 1024
# bytes that one stream may queue, and bytes per turn
SEND_BYTES = 64 * 1024
TURN_BYTES = 16 * 1024
# unsent replies (to pings, to new streams) beyond which nothing more is read
CONTROL_BYTES = 64 * 1024
# frames without data that may still come on a stream that we reset, or that both have ended: window updates, one for
# each turn of ours that fills it, and ACK, FIN, RST
LATE_FRAMES = WINDOW_BYTES // TURN_BYTES + 3
MOST_WINDOW = 0xFFFF_FFFF
LAST_ID = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Opened:
    """The peer opened a stream."""

    stream: int


@dataclass(frozen=True, slots=True)
class Readable:
    """Data is available; `Session.read` takes it."""

    stream: int


@dataclass(frozen=True, slots=True)
class Writable:
    """`send` has room again."""

    stream: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The peer has closed its direction."""

    stream: int


@dataclass(frozen=True, slots=True)
class Reset:
    """The stream is gone, both directions, with any unread data."""

    stream: int


@dataclass(frozen=True, slots=True)
class Ponged:
    """A ping of ours was answered."""

    value: int


@dataclass(frozen=True, slots=True)
class GoneAway:
    """The peer accepts no new streams; existing ones continue."""

    code: int


Event: TypeAlias = Opened | Readable | Writable | Ended | Reset | Ponged | GoneAway


class _Stream:
    __slots__ = ("buffer", "closed", "fin_due", "fin_sent", "granted", "peer_ended", "read", "to_send", "window")

    def __init__(self) -> None:
        self.window = WINDOW_BYTES  # bytes we may still send
        self.granted = WINDOW_BYTES  # bytes the peer may still send
        self.read = 0  # bytes read since the last window update
        self.buffer = bytearray()
        self.to_send = bytearray()
        self.fin_due = False
        self.fin_sent = False
        self.peer_ended = False
        self.closed = False  # the owner no longer reads it


class Session:
    """One side of a session.

    Args:
        client: opens odd stream ids; a server opens even ones.
        clock: monotonic seconds with any origin; used only for rate limits.
    """

    def __init__(self, *, client: bool, clock: Callable[[], float]) -> None:
        self._decoder = FrameDecoder()
        self._streams: dict[int, _Stream] = {}
        self._next = 1 if client else 2
        self._theirs = Numbers(2 if client else 1)
        # opened by the peer and not accepted; opened by us and not acknowledged
        self._unaccepted: dict[int, None] = {}
        self._unacknowledged: dict[int, None] = {}
        # closed, all data sent, but not ended by the peer yet
        self._lingering: dict[int, None] = {}
        self._control = bytearray()
        # streams with something to send, in turn order
        self._turns: dict[int, None] = {}
        self._buffered = 0
        self._gone_away: int | None = None
        self._strays = Strays()
        self._idle = Bucket(IDLE, clock)
        self._windows = Bucket(WINDOWS, clock)
        self._resets = Bucket(RESETS, clock)
        self.failure: RemoteProtocolError | None = None

    @property
    def streams(self) -> int:
        """Number of streams, lingering ones included."""
        return len(self._streams)

    @property
    def buffered(self) -> int:
        """Received bytes not read yet, of all streams."""
        return self._buffered

    @property
    def lacking(self) -> int:
        """Bytes still missing from the partly received frame; 0 between frames."""
        return self._decoder.lacking

    @property
    def full(self) -> bool:
        """The peer does not take our replies: stop reading from it."""
        return len(self._control) >= CONTROL_BYTES

    # for the owner

    @property
    def may_open(self) -> bool:
        """A new stream would not exceed the peer's backlog, or the peer accepts none at all. Changes as frames come."""
        return len(self._unacknowledged) < BACKLOG or self._gone_away is not None

    def open(self) -> int:
        """Open a stream. Raises: Unreachable if the peer accepts none, LocalProtocolError if no more is possible."""
        if self._gone_away is not None:
            raise Unreachable("the peer takes no new streams")
        if not self.may_open:
            raise LocalProtocolError(f"{BACKLOG} streams are open that the peer has not taken yet")
        if not self._make_room():
            raise LocalProtocolError(f"{MAX_STREAMS} streams are open on this channel; close one")
        if self._next > LAST_ID:
            raise LocalProtocolError("every number of a stream was used on this channel")
        stream = self._next
        self._next += 2
        self._streams[stream] = _Stream()
        self._unacknowledged[stream] = None
        self._control += encode(Kind.WINDOW, Flag.SYN, stream, 0)
        return stream

    def _make_room(self) -> bool:
        """Whether one more stream fits, after resetting a lingering one if needed."""
        if len(self._streams) >= MAX_STREAMS and self._lingering:
            self.reset(next(iter(self._lingering)))
        return len(self._streams) < MAX_STREAMS

    def accept(self) -> int | None:
        """Accept the peer's oldest pending stream, if any."""
        stream = next(iter(self._unaccepted), None)
        if stream is not None:
            del self._unaccepted[stream]
            self._control += encode(Kind.WINDOW, Flag.ACK, stream, 0)
        return stream

    def send(self, stream: int, data: bytes | memoryview) -> int:
        """Queue what fits; returns the byte count. Raises: KeyError when the stream no longer exists."""
        found = self._streams[stream]
        if found.fin_due:
            raise LocalProtocolError("this stream was ended")
        room = min(SEND_BYTES - len(found.to_send), len(data))
        if room > 0:
            found.to_send += data[:room]
            self._take_turn(stream, found)
        return max(room, 0)

    def room(self, stream: int) -> bool:
        """Whether `send` would take any bytes. Raises: KeyError."""
        return len(self._streams[stream].to_send) < SEND_BYTES

    def has(self, stream: int) -> bool:
        """Whether it still exists: not reset, and not ended by both sides."""
        return stream in self._streams

    def unread(self, stream: int) -> int:
        """Received bytes not read yet. Raises: KeyError."""
        return len(self._streams[stream].buffer)

    def end(self, stream: int) -> None:
        """Half-close after queued data is sent. Idempotent; a missing stream is no error."""
        found = self._streams.get(stream)
        if found is not None and not found.fin_due:
            found.fin_due = True
            self._turns.setdefault(stream)

    def read(self, stream: int, most: int) -> bytes:
        """Take received bytes; empty when there are none. Raises: KeyError."""
        found = self._streams[stream]
        data = bytes(found.buffer[:most])
        del found.buffer[:most]
        self._buffered -= len(data)
        found.read += len(data)
        if found.read >= WINDOW_BYTES // 2 and not found.peer_ended:
            self._control += encode(Kind.WINDOW, 0, stream, found.read)
            found.granted += found.read
            found.read = 0
        return data

    def peer_ended(self, stream: int) -> bool:
        """Whether the peer has closed its direction. Raises: KeyError."""
        return self._streams[stream].peer_ended

    def close(self, stream: int) -> None:
        """Close both directions; queued data is still sent. Idempotent; a missing stream is no error."""
        found = self._streams.get(stream)
        if found is None or found.closed:
            return
        self._drop_buffer(found)
        if not found.granted and not found.peer_ended:
            self.reset(stream)
            return
        self.end(stream)
        found.closed = True
        self._forget_if_over(stream, found)

    def reset(self, stream: int) -> None:
        """Drop it at once, with queued and unread data."""
        if stream in self._streams:
            self._control += encode(Kind.WINDOW, Flag.RST, stream, 0)
            self._expect_late(self._streams[stream])
            self._forget(stream)

    def ping(self, value: int) -> None:
        """Send a ping; the peer answers with the same value."""
        self._control += encode(Kind.PING, Flag.SYN, 0, value)
        self._strays.late += 1

    def go_away(self, code: GoAway = GoAway.NORMAL) -> None:
        """Queue a GO_AWAY."""
        self._control += encode(Kind.GO_AWAY, 0, 0, code)

    # output

    def data_to_send(self, most: int = 4 * TURN_BYTES) -> tuple[bytes, list[Event]]:
        """About `most` bytes, and events of streams with room again. Empty: nothing to send, or windows are closed."""
        out, self._control = self._control, bytearray()
        events: list[Event] = []
        while self._turns and len(out) < most:
            stream = next(iter(self._turns))
            del self._turns[stream]
            found = self._streams[stream]
            size = min(len(found.to_send), found.window, TURN_BYTES)
            last = found.fin_due and size == len(found.to_send)
            if size:
                out += encode(Kind.DATA, 0, stream, size) + found.to_send[:size]
                was_full = len(found.to_send) >= SEND_BYTES
                del found.to_send[:size]
                found.window -= size
                if was_full and not found.closed:
                    events.append(Writable(stream))
            if last:
                # in a frame of its own: Go's reader processes flags before data, so that a concurrent reader there
                # could see the end before the data
                out += encode(Kind.WINDOW, Flag.FIN, stream, 0)
                found.fin_sent = True
                self._forget_if_over(stream, found)
            else:
                self._take_turn(stream, found)
        return bytes(out), events

    @property
    def sending(self) -> bool:
        """Whether `data_to_send` has something."""
        return bool(self._control or self._turns)

    def _take_turn(self, stream: int, found: _Stream) -> None:
        # without a window it waits for the peer, not for a turn
        if (found.to_send and found.window) or (found.fin_due and not found.to_send and not found.fin_sent):
            self._turns.setdefault(stream)

    # input

    def receive_data(self, data: bytes) -> list[Event]:
        """Process input; return events. After a protocol violation, send the queued go-away and stop reading.

        Raises:
            RemoteProtocolError: the peer violated the protocol, now or earlier.
        """
        if self.failure is not None:
            raise _anew(self.failure)
        events: list[Event] = []
        try:
            for frame in self._decoder.feed(data):
                self._handle(frame, events)
            if self._decoder.failure is not None:
                raise self._decoder.failure
        except RemoteProtocolError as error:
            self.failure = _anew(error)
            self._turns.clear()
            self.go_away(GoAway.PROTOCOL)
            raise
        return events

    def _handle(self, frame: Frame, events: list[Event]) -> None:
        if frame.kind is Kind.PING:
            if frame.flags & Flag.SYN:
                self._count(self._idle)
                self._control += encode(Kind.PING, Flag.ACK, 0, frame.number)
            else:
                self._strays.take_late("an answer to no ping")
                if frame.flags & Flag.ACK:
                    events.append(Ponged(frame.number))
        elif frame.kind is Kind.GO_AWAY:
            if self._gone_away is not None:
                self._strays.take("a go-away after the first")
            self._gone_away = frame.number
            events.append(GoneAway(frame.number))
        else:
            if frame.flags & Flag.SYN:
                self._peer_opens(frame.stream, events)
            self._on_stream(frame, events)

    def _peer_opens(self, stream: int, events: list[Event]) -> None:
        if stream == 0 or stream % 2 == self._next % 2:
            raise RemoteProtocolError(f"the peer opened stream {stream}, a number of ours")
        if stream in self._streams:
            raise RemoteProtocolError(f"the peer opened stream {stream} twice")
        if not self._theirs.fresh(stream):
            raise RemoteProtocolError(f"the peer opened stream {stream} again; a number serves once, and they grow")
        self._theirs.use(stream)
        if len(self._unaccepted) >= BACKLOG or not self._make_room():
            self._count(self._resets)
            self._expect_late(_Stream())
            self._control += encode(Kind.WINDOW, Flag.RST, stream, 0)
            return
        self._streams[stream] = _Stream()
        self._unaccepted[stream] = None
        events.append(Opened(stream))

    def _on_stream(self, frame: Frame, events: list[Event]) -> None:
        stream = frame.stream
        found = self._streams.get(stream)
        if found is None:
            ours = stream % 2 == self._next % 2
            if stream == 0 or (stream >= self._next if ours else stream > self._theirs.highest):
                raise RemoteProtocolError(f"a frame for stream {stream}, which was never opened")
            # in flight when we reset the stream, or sent to nobody
            self._strays.take_data(len(frame.body), f"a frame for stream {stream}, which is over")
            return
        self._count_small(frame, found)
        # any frame on it shows that the peer knows the stream, with or without ACK
        self._unacknowledged.pop(stream, None)
        if frame.kind is Kind.WINDOW:
            self._grow(stream, found, frame.number)
        elif frame.body:
            self._take(stream, found, frame, events)
        if frame.flags & Flag.RST:
            if stream in self._streams:
                self._forget(stream)
                events.append(Reset(stream))
        elif frame.flags & Flag.FIN and not found.peer_ended and stream in self._streams:
            found.peer_ended = True
            events.append(Ended(stream))
            self._forget_if_over(stream, found)

    def _count_small(self, frame: Frame, found: _Stream) -> None:
        """Rate-limit frames that windows do not bound. Raises: RemoteProtocolError over the rate."""
        stream, flags = frame.stream, frame.flags
        if flags & Flag.RST and stream % 2 != self._next % 2:
            # for our own streams, bounded by how many we open
            self._count(self._resets)
        elif frame.kind is Kind.WINDOW and frame.number:
            self._count(self._windows)
        ended = flags & Flag.FIN and not found.peer_ended
        taken = flags & Flag.ACK and stream in self._unacknowledged
        if not (frame.number or ended or taken or flags & (Flag.SYN | Flag.RST)):
            self._count(self._idle)

    def _count(self, bucket: Bucket) -> None:
        if not bucket.take():
            raise RemoteProtocolError("the peer floods the session with frames that carry nothing")

    def _expect_late(self, found: _Stream) -> None:
        """Allow frames that the peer may send before it learns of the end."""
        self._strays.late += LATE_FRAMES
        if not found.peer_ended:
            self._strays.late_bytes += found.granted

    def _grow(self, stream: int, found: _Stream, growth: int) -> None:
        if found.window + growth > MOST_WINDOW:
            raise RemoteProtocolError(f"the window of stream {stream} grew over {MOST_WINDOW} bytes")
        found.window += growth
        self._take_turn(stream, found)

    def _take(self, stream: int, found: _Stream, frame: Frame, events: list[Event]) -> None:
        body = frame.body
        if found.peer_ended:
            raise RemoteProtocolError(f"data on stream {stream} after its end")
        if len(body) > found.granted:
            raise RemoteProtocolError(f"{len(body)} bytes on stream {stream}; its window has {found.granted}")
        found.granted -= len(body)
        if found.closed:
            if not found.granted and not frame.flags & Flag.FIN:
                self.reset(stream)
        elif self._buffered + len(body) > BUFFERED_BYTES:
            self.reset(stream)
            events.append(Reset(stream))
        else:
            found.buffer += body
            self._buffered += len(body)
            events.append(Readable(stream))

    def _forget_if_over(self, stream: int, found: _Stream) -> None:
        if found.closed and found.fin_sent:
            if found.peer_ended:
                self._expect_late(found)
                self._forget(stream)
            else:
                self._lingering[stream] = None

    def _forget(self, stream: int) -> None:
        self._drop_buffer(self._streams.pop(stream))
        for where in (self._turns, self._lingering, self._unaccepted, self._unacknowledged):
            where.pop(stream, None)

    def _drop_buffer(self, found: _Stream) -> None:
        self._buffered -= len(found.buffer)
        found.buffer.clear()


def _anew(error: RemoteProtocolError) -> RemoteProtocolError:
    # a new instance each time: one that is raised repeatedly would accumulate tracebacks
    return type(error)(*error.args)
