"""One side of an HTTP/2 connection: h2 behind `gate`, with queues for data that waits for the peer's windows. Sans-I/O.

Theory of operation. Received bytes pass `gate`, which yields whole frames and header blocks; `_take` decides what of
them h2, which keeps stream states and windows, may see; `receive` yields events. An offence on one stream must cost
only that stream (RFC 9113, 5.4), but h2 closes the connection for nearly all of them, and even for legal frames that
were in flight when we reset a stream. So faults of one stream are handled here and never reach h2. Header blocks are
all decompressed here, as HPACK's table is shared; h2 is told of each by a one-byte block. Data for an ended stream is
dropped and its connection window returned.

Sending never waits: what the windows don't allow is kept in `_held` and resumed by WINDOW_UPDATE or SETTINGS, so
senders check `held_bytes` for backpressure. Memory is bounded on both sides: received data by `gate` and the windows we
grant, incomplete messages by `HELD_BOUND`, unsent data by `REQUESTS_HELD` and `REPLIES_HELD`.
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
from transports.grpc.compression import BlockDecoder, BlockEncoder
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
from transports.grpc.headers import REQUEST, RESPONSE, TRAILERS, Header, HeaderList
from transports.strays import Strays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["HELD_BOUND", "Header", "Headers", "Http2", "StreamFault"]

# in-flight bytes of one stream: several of Kata's usual replies, so that a reader need not wait for a window
STREAM_WINDOW = 256 * 1024
# for all streams together
CONNECTION_WINDOW = 4 * 1024 * 1024
# bytes dropped on ended streams before their connection window is returned
DROPPED_BYTES = 64 * 1024
# frames without data that may still come on a stream after we reset it: an early answer, headers, and the end
LATE_FRAMES = 3
# names and values after decompression, plus 32 each, as RFC 9113 counts; a larger list is rejected, and decompression
# stops at `MAX_HEADER_BLOCK`
HEADER_LIST_BYTES = 64 * 1024
# incomplete messages of one connection: four of the largest
HELD_BOUND = 16 * 1024 * 1024
# the longest reason in a GOAWAY
REASON_BYTES = 200

_Code = h2.settings.SettingCodes
# one-byte header blocks, an HPACK static table entry each: ":method: POST", ":status: 200"
_REQUEST_BLOCK, _RESPONSE_BLOCK = b"\x83", b"\x88"


class Headers(NamedTuple):
    """A well-formed header list came on a stream, or trailers."""

    stream_id: int
    fields: HeaderList


class StreamFault(NamedTuple):
    """The peer violated the protocol on one stream: refuse it, or reset it with `code`. `status`: the gRPC status for it."""

    stream_id: int
    code: int
    status: StatusCode
    why: str


class Http2(OutgoingFrames):
    """Frames in, h2's events out; output is taken with `data_to_send`.

    Args:
        server: our role. A server sends nothing before its client has: bytes that follow the last byte of an outer handshake
        may be discarded by the peer's handshake code.
        max_streams: how many streams the peer may have open.
        clock: monotonic seconds with any origin; used only for rate limits.
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
        self._h2.encoder, self._h2.decoder = BlockEncoder(), BlockDecoder(MAX_HEADER_BLOCK)
        self._decoder = BlockDecoder(MAX_HEADER_BLOCK)
        self._server = server
        self._max_streams = max_streams
        # highest stream id opened so far, always by the client
        self._highest = 0
        # stream ids on which the peer may still send -> whether its headers have come
        self._receiving: dict[int, bool] = {}
        self._dropped_bytes = 0
        self._strays = Strays()
        self._gate = FrameGate(server=server, clock=clock)
        self._begun = False
        # stream id -> (data waiting for its window, trailers to send after it)
        self._held: dict[int, tuple[memoryview, list[Header] | None]] = {}
        self._held_bytes = 0
        self._failure: RemoteProtocolError | None = None
        if not server:
            self._begin()

    @property
    def failure(self) -> RemoteProtocolError | None:
        """The peer's protocol violation, if any; sticky. Close the connection once queued data is sent."""
        return self._failure

    @property
    def greeted(self) -> bool:
        """The peer has sent a valid HTTP/2 preface."""
        return self._gate.greeted

    @property
    def lacking(self) -> int:
        """Bytes still missing from the partly received frame; 0 between frames."""
        return self._gate.lacking

    @property
    def unfinished_bytes(self) -> int:
        """Bytes held of incomplete frames and header blocks."""
        return self._gate.held

    @property
    def held_bytes(self) -> int:
        """Bytes waiting for the peer's flow-control windows."""
        return self._held_bytes

    @property
    def streams_left(self) -> int:
        """How many more streams the peer's limit allows now."""
        return self._h2.remote_settings.max_concurrent_streams - self._h2.open_outbound_streams

    def receive(self, data: bytes) -> Iterator[Headers | StreamFault | Frame | h2.events.Event]:
        """Take bytes from the peer; yield events, and GOAWAY as the raw frame. Then check `failure`.

        GOAWAY bypasses h2, which reads nothing after it though remaining calls are still answered.
        """
        if self._failure is not None:
            return
        try:
            for frame in self._gate.feed(data):
                self._begin()
                for event in self._take(frame):
                    if self._server and _costs_its_stream(event):
                        # an offence that makes us reset its stream counts against the rate of resets
                        self._gate.count_reset()
                    yield event
                self._drain()
        except RemoteProtocolError as error:
            self._begin()
            self._fail(error.code if isinstance(error, Http2Fault) else ENHANCE_YOUR_CALM, str(error))
        except h2.exceptions.ProtocolError as error:
            self._fail(error.error_code, f"the peer broke HTTP/2: {error}")

    def end(self, why: str) -> None:
        """Close the connection because it holds too much, with that reason."""
        if self._failure is None:
            self._begin()
            self._fail(ENHANCE_YOUR_CALM, why)

    def _fail(self, code: int, why: str) -> None:
        # drop a GOAWAY that h2 may have queued: it has no reason text
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
        why = fields.fault(kind)
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
        if fields.size > HEADER_LIST_BYTES:
            why = f"headers of {fields.size} bytes; {HEADER_LIST_BYTES} is the most"
            yield StreamFault(stream_id, ENHANCE_YOUR_CALM, StatusCode.RESOURCE_EXHAUSTED, why)
        else:
            yield Headers(stream_id, fields)
        yield from events

    def _decompress(self, fragment: bytes) -> HeaderList:
        try:
            return self._decoder.decode(fragment)
        except hpack.OversizedHeaderListError as error:
            raise Http2Fault(
                ENHANCE_YOUR_CALM, f"headers of more than {MAX_HEADER_BLOCK} bytes; {HEADER_LIST_BYTES} is the most"
            ) from error
        except hpack.HPACKError as error:
            raise Http2Fault(COMPRESSION_ERROR, f"headers that can't be decompressed: {error}") from error

    def _admit(self, stream_id: int) -> bool:
        """Check headers on a stream that is not receiving; whether it is a new stream that is accepted."""
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
            # it may not have read our SETTINGS yet
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
        """Handle RST_STREAM or WINDOW_UPDATE on one stream."""
        stream_id = frame.stream_id
        nothing = frame.kind == WINDOW_UPDATE and frame.data[HEADER_BYTES:] in (b"\0\0\0\0", b"\x80\0\0\0")
        if nothing and stream_id in self._h2.streams:
            yield StreamFault(stream_id, PROTOCOL_ERROR, StatusCode.INTERNAL, "a window grew by nothing")
        elif stream_id in self._h2.streams or not self._begun_by_client(stream_id):
            yield from self._give(frame.data)

    def _begun_by_client(self, stream_id: int) -> bool:
        return stream_id % 2 == 1 and stream_id <= self._highest

    def _drop_data(self, size: int) -> None:
        """Data of an ended stream: return its room in the connection's window."""
        self._dropped_bytes += size
        if self._dropped_bytes >= DROPPED_BYTES:
            self._queue((4).to_bytes(3) + bytes((WINDOW_UPDATE, 0)) + bytes(4) + self._dropped_bytes.to_bytes(4))
            self._dropped_bytes = 0

    def _refuse(self, stream_id: int, code: int) -> None:
        """Reset a stream that h2 does not know, or no longer knows."""
        if code != STREAM_CLOSED:
            self._gate.count_reset()
            self._expect_late()
        self._queue((4).to_bytes(3) + bytes((RST_STREAM, 0)) + stream_id.to_bytes(4) + code.to_bytes(4))

    def open_stream(self, headers: list[Header], message: bytes) -> int:
        """Client: open a stream with its whole request. Raises: h2.exceptions.ProtocolError when ids are used up."""
        stream_id = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream_id, headers)
        self._highest = stream_id
        self._receiving[stream_id] = False
        self._send(stream_id, memoryview(message), None)
        return stream_id

    def answer(self, stream_id: int, headers: list[Header], message: bytes, trailers: list[Header]) -> None:
        """Server: send a whole response."""
        self._h2.send_headers(stream_id, headers)
        self._send(stream_id, memoryview(message), trailers)

    def refuse(self, stream_id: int, headers: list[Header]) -> None:
        """Server: send a headers-only response. A client that is still sending may stop."""
        self._h2.send_headers(stream_id, headers, end_stream=True)
        if stream_id in self._receiving:
            self.reset(stream_id, NO_ERROR)
        self._drain()

    def reset(self, stream_id: int, code: int) -> None:
        """Reset a stream, unless it or the connection has ended."""
        self.abandon(stream_id)
        if self._failure is not None:
            return
        try:
            self._h2.reset_stream(stream_id, code)
        except h2.exceptions.StreamClosedError:
            return
        self._drain()

    def abandon(self, stream_id: int) -> None:
        """Stop reading and writing a stream; the peer may not know yet."""
        self.drop(stream_id)
        if self._receiving.pop(stream_id, None) is not None:
            self._expect_late()

    def _expect_late(self) -> None:
        self._strays.late += LATE_FRAMES
        self._strays.late_bytes += STREAM_WINDOW

    def holds(self, stream_id: int) -> bool:
        """Whether data waits for the stream's window."""
        return stream_id in self._held

    def drop(self, stream_id: int) -> None:
        """Discard data that waits for the stream's window."""
        rest = self._held.pop(stream_id, None)
        if rest is not None:
            self._held_bytes -= len(rest[0])

    def acknowledge(self, stream_id: int, size: int) -> None:
        """Return the flow-control window that received data used."""
        self._h2.acknowledge_received_data(size, stream_id)
        self._drain()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._h2.initiate_connection()
            self._h2.increment_flow_control_window(CONNECTION_WINDOW - 65535)
            if self._server:
                # the gate has already consumed the real preface
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
        """Send what the windows allow and hold the rest. Without trailers, the last data frame ends the stream."""
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
