"""One side of an HTTP/2 connection: h2 behind our gate, with queues of what waits for the peer's windows.

For `calling` and `serving`, which are built on it. Sans-I/O. Everything of a peer is bounded: what it sends by `gate` and by the
windows that we open, what it makes us keep by those two: messages that are not complete by `HELD_BOUND`, and what waits for
its windows by `REQUESTS_HELD` and `REPLIES_HELD`. Not for calls: a stream is a number here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from transports.calls.outgoing import OutgoingFrames
from transports.errors import RemoteProtocolError
from transports.grpc.gate import GOAWAY, PREFACE, FrameGate, Http2Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from transports.grpc.gate import Frame

__all__ = ["HELD_BOUND", "Header", "Http2"]

Header = tuple[bytes, bytes]

# bytes of one stream that may be on their way to us: some of Kata's usual replies, so that a reader never waits for a window
STREAM_WINDOW = 256 * 1024
# of all streams together
CONNECTION_WINDOW = 4 * 1024 * 1024
# names and values after decompression, 32 more for each, as RFC 9113 counts
HEADER_LIST_BYTES = 64 * 1024
# messages of one connection that are not complete: four of the largest
HELD_BOUND = 16 * 1024 * 1024

_Code = h2.settings.SettingCodes


class _Connection(h2.connection.H2Connection):
    # of how many ended streams it is remembered why: enough for what is on its way when one ends
    MAX_CLOSED_STREAMS = 1024


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
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._h2 = _Connection(config)
        settings = {
            _Code.MAX_CONCURRENT_STREAMS: max_streams,
            _Code.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            _Code.MAX_HEADER_LIST_SIZE: HEADER_LIST_BYTES,
        }
        if not server:
            settings[_Code.ENABLE_PUSH] = 0
        self._h2.local_settings = h2.settings.Settings(client=not server, initial_values=settings)
        self._h2.decoder.max_header_list_size = HEADER_LIST_BYTES
        self._server = server
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
    def held_bytes(self) -> int:
        """Bytes that wait for the peer to open a window."""
        return self._held_bytes

    @property
    def streams_left(self) -> int:
        """How many more streams the peer lets us open now."""
        return self._h2.remote_settings.max_concurrent_streams - self._h2.open_outbound_streams

    def receive(self, data: bytes) -> Iterator[Frame | h2.events.Event]:
        """Take bytes from the peer; yield h2's events, and GOAWAY as the frame it is. Then look at `failure`.

        h2 reads nothing after a GOAWAY, though the calls that it spares are still answered.
        """
        if self._failure is not None:
            return
        try:
            for frame in self._gate.feed(data):
                self._begin()
                if frame.kind == GOAWAY:
                    yield frame
                    continue
                for event in self._h2.receive_data(frame.data):
                    self._take_window(event)
                    yield event
                self._drain()
        except Http2Fault as error:
            self._begin()
            self._h2.close_connection(error.code)
            # its code has been told; whoever waits is told the rest, in an error that can be made anew for each
            self._failure = RemoteProtocolError(str(error))
        except h2.exceptions.ProtocolError as error:
            # h2 has queued the GOAWAY itself
            self._failure = RemoteProtocolError(f"the peer broke HTTP/2: {error}")
        self._drain()

    def open_stream(self, headers: list[Header], message: bytes) -> int:
        """Client: a stream with all that it will carry. Raises: h2.exceptions.ProtocolError when ids are used up."""
        stream_id = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream_id, headers)
        self._send(stream_id, memoryview(message), None)
        return stream_id

    def answer(self, stream_id: int, headers: list[Header], message: bytes, trailers: list[Header]) -> None:
        """Server: the whole of an answer."""
        self._h2.send_headers(stream_id, headers)
        self._send(stream_id, memoryview(message), trailers)

    def refuse(self, stream_id: int, headers: list[Header], *, reset: bool) -> None:
        """Server: an answer of headers alone. `reset`: the client is still sending, and may stop."""
        self._h2.send_headers(stream_id, headers, end_stream=True)
        if reset:
            self.reset(stream_id, 0)
        self._drain()

    def reset(self, stream_id: int, code: int) -> None:
        """End a stream at once, if it has not ended, nor the connection."""
        self.drop(stream_id)
        if self._failure is not None:
            return
        try:
            self._h2.reset_stream(stream_id, code)
        except h2.exceptions.StreamClosedError:
            return
        self._drain()

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

    def _take_window(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.WindowUpdated(stream_id=stream_id) if stream_id:
                self._resume(stream_id)
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                for stream_id in list(self._held):
                    self._resume(stream_id)
            case h2.events.StreamReset(stream_id=stream_id):
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
