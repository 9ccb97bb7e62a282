"""One side of an HTTP/2 connection: h2 behind our gate, with queues of what waits for the peer's windows.

For `calling` and `serving`, which are built on it. Sans-I/O. Everything of a peer is bounded: what it sends by `gate` and by the
windows that we open, what it makes us keep by those two: messages that are not complete by `HELD_BOUND`, and what waits for
its windows by `REQUESTS_HELD` and `REPLIES_HELD`. Not for calls: a stream is a number here.

Whose fault a thing is decides who pays for it (RFC 9113, 5.4): an offence on one stream costs that stream, and all others go on.
h2 ends the connection for nearly each of them, and for what was on its way when we reset a stream and is no offence at all.
So it is given no more than may come on a stream. Header blocks are decompressed here, every one, as the next ones count on
that, and h2, which keeps states and windows, is told of a block by one byte. What comes for a stream that is over is dropped,
and its room given back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import hpack

from transports.calls.outgoing import OutgoingFrames
from transports.errors import RemoteProtocolError, StatusCode
from transports.grpc.gate import (
    COMPRESSION_ERROR,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    GOAWAY,
    HEADER_BYTES,
    HEADERS,
    MAX_HEADER_BLOCK,
    NO_ERROR,
    PREFACE,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    RST_STREAM,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    Block,
    Frame,
    FrameGate,
    Http2Fault,
)
from transports.grpc.headers import REQUEST, RESPONSE, TRAILERS, Header, fault_of, size_of
from transports.strays import Strays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["HELD_BOUND", "Header", "Headers", "Http2", "StreamFault"]

# bytes of one stream that may be on their way to us: some of Kata's usual replies, so that a reader never waits for a window
STREAM_WINDOW = 256 * 1024
# of all streams together
CONNECTION_WINDOW = 4 * 1024 * 1024
# what came for streams that are over, before its room is given back
DROPPED_BYTES = 64 * 1024
# what may come without data on a stream after we reset it, before the peer knows: an early answer, headers, and the end
LATE_FRAMES = 3
# names and values after decompression, 32 more for each, as RFC 9113 counts; what is larger is refused, and more than
# `MAX_HEADER_BLOCK` is not even decompressed to its end
HEADER_LIST_BYTES = 64 * 1024
# messages of one connection that are not complete: four of the largest
HELD_BOUND = 16 * 1024 * 1024
# what a GOAWAY says, in bytes
REASON_BYTES = 200

_Code = h2.settings.SettingCodes
# blocks of one byte, an entry of HPACK's static table: ":method: POST", ":status: 200"
_REQUEST_BLOCK, _RESPONSE_BLOCK = b"\x83", b"\x88"


class Headers(NamedTuple):
    """A list of headers came on a stream, and is well formed; trailers too."""

    stream_id: int
    fields: list[Header]


class StreamFault(NamedTuple):
    """The peer did on a stream what can't be: it is to be refused, or reset with `code`. `status`: gRPC's word for it."""

    stream_id: int
    code: int
    status: StatusCode
    why: str


class Http2(OutgoingFrames):
    """Frames in, h2's events out; what is sent waits in `data_to_send`.

    Args:
        server: our role. A server says nothing before its client has: what comes with the last byte of a handshake
            may be thrown away by whoever made that handshake.
        max_streams: how many the peer may have open at once.
        clock: in seconds, from anywhere; for bounds on floods alone.
    """

    def __init__(self, *, server: bool, max_streams: int, clock: Callable[[], float]) -> None:
        super().__init__()
        config = h2.config.H2Configuration(
            client_side=not server,
            header_encoding=None,
            validate_inbound_headers=False,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._h2 = h2.connection.H2Connection(config)
        settings = {
            _Code.MAX_CONCURRENT_STREAMS: max_streams,
            _Code.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            _Code.MAX_HEADER_LIST_SIZE: HEADER_LIST_BYTES,
        }
        if not server:
            settings[_Code.ENABLE_PUSH] = 0
        self._h2.local_settings = h2.settings.Settings(client=not server, initial_values=settings)
        self._decoder = hpack.Decoder(MAX_HEADER_BLOCK)
        self._server = server
        self._max_streams = max_streams
        # of all that were begun: by the client, whoever that is
        self._highest = 0
        # stream ids on which the peer may still send -> whether its headers have come
        self._receiving: dict[int, bool] = {}
        self._dropped_bytes = 0
        self._strays = Strays()
        self._gate = FrameGate(server=server, clock=clock)
        self._begun = False
        # stream id -> what its window has no room for, and what is said after it
        self._held: dict[int, tuple[memoryview, list[Header] | None]] = {}
        self._held_bytes = 0
        self._failure: RemoteProtocolError | None = None
        if not server:
            self._begin()

    @property
    def failure(self) -> RemoteProtocolError | None:
        """What the peer broke; sticky. The connection is to be closed once the rest is sent."""
        return self._failure

    @property
    def greeted(self) -> bool:
        """The peer has begun as HTTP/2 wants it."""
        return self._gate.greeted

    @property
    def lacking(self) -> int:
        """Bytes that the frame still lacks in whose midst what was received ends; 0 between frames."""
        return self._gate.lacking

    @property
    def unfinished_bytes(self) -> int:
        """Bytes kept of frames and header blocks that are not whole."""
        return self._gate.held

    @property
    def held_bytes(self) -> int:
        """Bytes that wait for the peer to open a window."""
        return self._held_bytes

    @property
    def streams_left(self) -> int:
        """How many more streams the peer lets us open now."""
        return self._h2.remote_settings.max_concurrent_streams - self._h2.open_outbound_streams

    def receive(self, data: bytes) -> Iterator[Headers | StreamFault | Frame | h2.events.Event]:
        """Take bytes from the peer; yield what came, h2's events, and GOAWAY as the frame it is. Then look at `failure`.

        h2 reads nothing after a GOAWAY, though the calls that it spares are still answered.
        """
        if self._failure is not None:
            return
        try:
            for frame in self._gate.feed(data):
                self._begin()
                for event in self._take(frame):
                    if self._server and _costs_its_stream(event):
                        # to have its streams reset costs the peer what it costs to reset them
                        self._gate.count_reset()
                    yield event
                self._drain()
        except RemoteProtocolError as error:
            self._begin()
            self._fail(error.code if isinstance(error, Http2Fault) else ENHANCE_YOUR_CALM, str(error))
        except h2.exceptions.ProtocolError as error:
            self._fail(error.error_code, f"the peer broke HTTP/2: {error}")

    def end(self, why: str) -> None:
        """Close it, for more than we can hold of it, with that reason."""
        if self._failure is None:
            self._begin()
            self._fail(ENHANCE_YOUR_CALM, why)

    def _fail(self, code: int, why: str) -> None:
        # h2 may have queued a GOAWAY of its own, which says nothing
        self._h2.clear_outbound_data_buffer()
        self._h2.close_connection(code, why.encode()[:REASON_BYTES], self._highest if self._server else 0)
        self._failure = RemoteProtocolError(why)
        self._drain()

    def _take(self, frame: Frame | Block) -> Iterator[Headers | StreamFault | Frame | h2.events.Event]:
        if isinstance(frame, Block):
            yield from self._take_block(frame)
        elif frame.kind == GOAWAY:
            yield frame
        elif frame.kind == DATA:
            yield from self._take_data(frame)
        elif frame.kind in (RST_STREAM, WINDOW_UPDATE) and frame.stream_id:
            yield from self._take_word(frame)
        else:
            yield from self._give(frame.data)

    def _give(self, data: bytes) -> Iterator[h2.events.Event]:
        for event in self._h2.receive_data(data):
            self._note(event)
            yield event

    def _take_block(self, block: Block) -> Iterator[Headers | StreamFault | h2.events.Event]:
        stream_id, end, fragment = block
        fields = self._decompress(fragment)
        first = not self._receiving.get(stream_id)
        if stream_id not in self._receiving and not self._admit(stream_id):
            return
        if not first:
            kind, told = TRAILERS, _REQUEST_BLOCK
        elif self._server:
            kind, told = REQUEST, _REQUEST_BLOCK
        else:
            kind, told = RESPONSE, _RESPONSE_BLOCK
        why = fault_of(fields, kind)
        if why is None and not end and not first:
            why = "trailers do not end their stream"
        early = kind is RESPONSE and why is None and dict(fields)[b":status"].startswith(b"1")
        if early and not end:
            self._gate.count_idle()
            return
        if why is not None or early:
            if self._server and first:
                self._refuse(stream_id, PROTOCOL_ERROR)
            else:
                why = why or "an answer ends before it begins"
                yield StreamFault(stream_id, PROTOCOL_ERROR, StatusCode.INTERNAL, f"malformed headers: {why}")
            return
        self._receiving[stream_id] = True
        frame = len(told).to_bytes(3) + bytes((HEADERS, END_HEADERS | (END_STREAM if end else 0)))
        events = list(self._give(frame + stream_id.to_bytes(4) + told))
        if (size := size_of(fields)) > HEADER_LIST_BYTES:
            why = f"headers of {size} bytes; {HEADER_LIST_BYTES} is the most"
            yield StreamFault(stream_id, ENHANCE_YOUR_CALM, StatusCode.RESOURCE_EXHAUSTED, why)
        else:
            yield Headers(stream_id, fields)
        yield from events

    def _decompress(self, fragment: bytes) -> list[Header]:
        try:
            return list(self._decoder.decode(fragment, raw=True))
        except hpack.OversizedHeaderListError as error:
            raise Http2Fault(
                ENHANCE_YOUR_CALM, f"headers of more than {MAX_HEADER_BLOCK} bytes; {HEADER_LIST_BYTES} is the most"
            ) from error
        except hpack.HPACKError as error:
            raise Http2Fault(COMPRESSION_ERROR, f"headers that can't be decompressed: {error}") from error

    def _admit(self, stream_id: int) -> bool:
        """Headers of a stream on which nothing may come: of a new one, or of one that is over."""
        if not self._server:
            if self._begun_by_client(stream_id):
                self._strays.take_late(f"headers on stream {stream_id}, which is over")
                return False
            raise Http2Fault(PROTOCOL_ERROR, f"an answer came on stream {stream_id}, which nobody began")
        if stream_id % 2 == 0:
            raise Http2Fault(PROTOCOL_ERROR, f"stream {stream_id} is none that a client can begin")
        if stream_id <= self._highest:
            self._strays.take_late(f"headers on stream {stream_id}, which is over")
            self._refuse(stream_id, STREAM_CLOSED)
            return False
        self._highest = stream_id
        if self._h2.open_inbound_streams >= self._max_streams:
            # it may not have read our settings yet
            self._refuse(stream_id, REFUSED_STREAM)
            return False
        return True

    def _take_data(self, frame: Frame) -> Iterator[StreamFault | h2.events.Event]:
        stream_id, size = frame.stream_id, len(frame.data) - HEADER_BYTES
        whole_room = self._h2.inbound_flow_control_window
        if stream_id not in self._receiving:
            if self._begun_by_client(stream_id) and size <= whole_room:
                self._strays.take_data(size, f"data on stream {stream_id}, which is over")
                self._drop_data(size)
                return
        elif not self._receiving[stream_id]:
            self._drop_data(size)
            yield StreamFault(stream_id, PROTOCOL_ERROR, StatusCode.INTERNAL, "data came before its headers")
            return
        elif self._h2.remote_flow_control_window(stream_id) < size <= whole_room:
            self._drop_data(size)
            yield StreamFault(stream_id, FLOW_CONTROL_ERROR, StatusCode.INTERNAL, "data over its stream's window")
            return
        yield from self._give(frame.data)

    def _take_word(self, frame: Frame) -> Iterator[StreamFault | h2.events.Event]:
        """A reset, or a window's growth, of one stream."""
        stream_id = frame.stream_id
        nothing = frame.kind == WINDOW_UPDATE and frame.data[HEADER_BYTES:] in (b"\0\0\0\0", b"\x80\0\0\0")
        if nothing and stream_id in self._h2.streams:
            yield StreamFault(stream_id, PROTOCOL_ERROR, StatusCode.INTERNAL, "a window grew by nothing")
        elif stream_id in self._h2.streams or not self._begun_by_client(stream_id):
            yield from self._give(frame.data)

    def _begun_by_client(self, stream_id: int) -> bool:
        return stream_id % 2 == 1 and stream_id <= self._highest

    def _drop_data(self, size: int) -> None:
        """Of no stream that lives: the connection's window has its room again."""
        self._dropped_bytes += size
        if self._dropped_bytes >= DROPPED_BYTES:
            self._queue((4).to_bytes(3) + bytes((WINDOW_UPDATE, 0)) + bytes(4) + self._dropped_bytes.to_bytes(4))
            self._dropped_bytes = 0

    def _refuse(self, stream_id: int, code: int) -> None:
        """Reset a stream that h2 has never heard of, or no more."""
        if code != STREAM_CLOSED:
            self._gate.count_reset()
            self._expect_late()
        self._queue((4).to_bytes(3) + bytes((RST_STREAM, 0)) + stream_id.to_bytes(4) + code.to_bytes(4))

    def open_stream(self, headers: list[Header], message: bytes) -> int:
        """Client: a stream with all that it will carry. Raises: h2.exceptions.ProtocolError when ids are used up."""
        stream_id = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream_id, headers)
        self._highest = stream_id
        self._receiving[stream_id] = False
        self._send(stream_id, memoryview(message), None)
        return stream_id

    def answer(self, stream_id: int, headers: list[Header], message: bytes, trailers: list[Header]) -> None:
        """Server: the whole of an answer."""
        self._h2.send_headers(stream_id, headers)
        self._send(stream_id, memoryview(message), trailers)

    def refuse(self, stream_id: int, headers: list[Header]) -> None:
        """Server: an answer of headers alone. A client that is still sending may stop."""
        self._h2.send_headers(stream_id, headers, end_stream=True)
        if stream_id in self._receiving:
            self.reset(stream_id, NO_ERROR)
        self._drain()

    def reset(self, stream_id: int, code: int) -> None:
        """End a stream at once, if it has not ended, nor the connection."""
        self.abandon(stream_id)
        if self._failure is not None:
            return
        try:
            self._h2.reset_stream(stream_id, code)
        except h2.exceptions.StreamClosedError:
            return
        self._drain()

    def abandon(self, stream_id: int) -> None:
        """Read no more of a stream, and say no more on it; the peer may not know."""
        self.drop(stream_id)
        if self._receiving.pop(stream_id, None) is not None:
            self._expect_late()

    def _expect_late(self) -> None:
        self._strays.late += LATE_FRAMES
        self._strays.late_bytes += STREAM_WINDOW

    def holds(self, stream_id: int) -> bool:
        """Whether something waits for the stream's window."""
        return stream_id in self._held

    def drop(self, stream_id: int) -> None:
        """Forget what waits for the stream's window."""
        rest = self._held.pop(stream_id, None)
        if rest is not None:
            self._held_bytes -= len(rest[0])

    def acknowledge(self, stream_id: int, size: int) -> None:
        """Give the peer the room back that its data took."""
        self._h2.acknowledge_received_data(size, stream_id)
        self._drain()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._h2.initiate_connection()
            self._h2.increment_flow_control_window(CONNECTION_WINDOW - 65535)
            if self._server:
                # the gate has read and taken it
                self._h2.receive_data(PREFACE)
            self._drain()

    def _drain(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self._queue(data)

    def _note(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.StreamEnded(stream_id=stream_id):
                self._receiving.pop(stream_id, None)
            case h2.events.WindowUpdated(stream_id=stream_id) if stream_id:
                self._resume(stream_id)
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                for stream_id in list(self._held):
                    self._resume(stream_id)
            case h2.events.StreamReset(stream_id=stream_id, remote_reset=False):
                self.abandon(stream_id)
            case h2.events.StreamReset(stream_id=stream_id):
                self._receiving.pop(stream_id, None)
                self.drop(stream_id)
            case _:
                return

    def _resume(self, stream_id: int) -> None:
        held = self._held.pop(stream_id, None)
        if held is not None:
            self._held_bytes -= len(held[0])
            self._send(stream_id, *held)

    def _send(self, stream_id: int, rest: memoryview, trailers: list[Header] | None) -> None:
        """As much as the windows have room for; what is left is held. Without trailers, the last data ends the stream."""
        while rest:
            room = min(self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size)
            if room <= 0:
                self._held[stream_id] = (rest, trailers)
                self._held_bytes += len(rest)
                self._drain()
                return
            piece, rest = rest[:room], rest[room:]
            self._h2.send_data(stream_id, bytes(piece), end_stream=trailers is None and not rest)
        if trailers is not None:
            self._h2.send_headers(stream_id, trailers, end_stream=True)
        self._drain()


def _costs_its_stream(event: Headers | StreamFault | Frame | h2.events.Event) -> bool:
    return isinstance(event, StreamFault) or (isinstance(event, h2.events.StreamReset) and not event.remote_reset)
