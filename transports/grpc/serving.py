"""The answering side of a gRPC connection, without I/O.

Implements `transports.calls.connection.ServingConnection`. A gRPC violation is answered on its stream; HTTP/2 and
violations of it are in `http2`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h2.events

from transports.calls.connection import Called, Request
from transports.errors import StatusCode
from transports.grpc.codec import (
    MAX_MESSAGE,
    MessageError,
    MessageReader,
    decode_timeout,
    encode_details,
    encode_message,
    encode_text,
)
from transports.grpc.compression import never_indexed
from transports.grpc.http2 import HELD_BOUND, Headers, Http2, StreamFault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transports.errors import TransportError
    from transports.grpc.gate import Frame
    from transports.grpc.http2 import Header

__all__ = ["ServerConnection"]

# reply bytes waiting for the client's window; beyond it, handlers wait
REPLIES_HELD = 4 * 1024 * 1024

_OK: list[Header] = [(b":status", b"200"), (b"content-type", b"application/grpc")]
_DONE: list[Header] = [(b"grpc-status", b"0")]
# HTTP's and gRPC's own headers, not the caller's metadata
_RESERVED = frozenset((b"te", b"content-type", b"user-agent"))


class _Asked:
    """The state of one call."""

    __slots__ = ("handed_out", "header_bytes", "metadata", "method", "reader", "service", "timeout_nano")

    def __init__(
        self, service: str, method: str, timeout_nano: int, metadata: tuple[tuple[str, str], ...], header_bytes: int
    ) -> None:
        self.service, self.method = service, method
        self.timeout_nano = timeout_nano
        self.metadata = metadata
        self.header_bytes = header_bytes
        self.reader = MessageReader()
        # complete, and returned by `receive_data`
        self.handed_out = False

    @property
    def held(self) -> int:
        """Bytes held until it is complete."""
        return self.header_bytes + self.reader.held


class _Refused(Exception):
    """A call that is rejected."""

    def __init__(self, code: StatusCode, why: str, *, http: bytes = b"200") -> None:
        super().__init__(why)
        self.code, self.why, self.http = code, why, http


class ServerConnection:
    """The answering side of a connection.

    Args:
        max_calls: concurrent calls, advertised to the client; streams beyond that are reset unprocessed.
        clock: monotonic seconds with any origin; used only for rate limits.
    """

    def __init__(self, max_calls: int, clock: Callable[[], float]) -> None:
        self._http2 = Http2(server=True, max_streams=max_calls, clock=clock)
        self._asked: dict[int, _Asked] = {}
        # those of them that are incomplete, and the bytes held for them
        self._incomplete: dict[int, None] = {}
        self._asked_bytes = 0
        self._max_calls = max_calls
        self._calls = 0
        self._taken_back: list[int] = []
        self.dropped_replies = 0

    @property
    def failure(self) -> TransportError | None:
        """The client's protocol violation, if any; sticky. Close the connection once queued data is sent."""
        return self._http2.failure

    @property
    def calls(self) -> int:
        """Calls handed out by `receive_data` and not answered yet."""
        return self._calls

    @property
    def busy(self) -> bool:
        """Too many reply bytes wait for the client's window. Changes as bytes are received."""
        return self._http2.held_bytes > REPLIES_HELD

    @property
    def outgoing_bytes(self) -> int:
        """Bytes queued and not yet taken by `data_to_send`."""
        return self._http2.outgoing_bytes

    @property
    def outgoing_frames(self) -> int:
        """Frames queued and not yet taken by `data_to_send`."""
        return self._http2.outgoing_frames

    def data_to_send(self) -> bytes:
        """Take everything that is queued, in order; empty when nothing is."""
        return self._http2.data_to_send()

    @property
    def takes_back(self) -> bool:
        """True: by RST_STREAM."""
        return True

    def taken_back(self) -> Sequence[int]:
        """Calls that the client cancelled since the last query. Each still takes its one reply, which is not sent."""
        taken, self._taken_back = self._taken_back, []
        return taken

    @property
    def unfinished(self) -> tuple[int, int]:
        """Of incomplete calls, headers included, and of an incomplete frame."""
        return self._asked_bytes + self._http2.unfinished_bytes, next(iter(self._incomplete), 0)

    def end(self, why: str) -> None:
        """Sends GOAWAY."""
        self._http2.end(why)

    def receive_data(self, data: bytes) -> Sequence[Called]:
        """Take bytes from the client; return the calls that they complete. Rejections are queued here."""
        calls: list[Called] = []
        for event in self._http2.receive(data):
            call = self._receive(event)
            if call is not None:
                calls.append(call)
        return calls

    def send_reply(self, stream_id: int, payload: bytes) -> None:
        """Queue the reply to a call; one over 4 MiB becomes RESOURCE_EXHAUSTED. For a cancelled call: dropped, counted."""
        if len(payload) > MAX_MESSAGE:
            message = f"the response has {len(payload)} bytes and a message has at most {MAX_MESSAGE}"
            self.send_status(stream_id, StatusCode.RESOURCE_EXHAUSTED, message)
        elif self._answerable(stream_id):
            self._http2.answer(stream_id, _OK, encode_message(payload), _DONE)

    def send_status(self, stream_id: int, code: int, message: str, details: tuple[bytes, ...] = ()) -> None:
        """Queue an error as the reply to a call. For a cancelled call: dropped, counted."""
        if self._answerable(stream_id):
            self._http2.refuse(stream_id, _failed(code, message, details))

    def _answerable(self, stream_id: int) -> bool:
        self._calls -= 1
        if self._close(stream_id) is None or self._http2.failure is not None:
            self.dropped_replies += 1
            return False
        return True

    def _close(self, stream_id: int) -> _Asked | None:
        asked = self._asked.pop(stream_id, None)
        if asked is not None and not asked.handed_out:
            self._forget_incomplete(stream_id, asked)
        return asked

    def _forget_incomplete(self, stream_id: int, asked: _Asked) -> None:
        del self._incomplete[stream_id]
        self._asked_bytes -= asked.held

    def _receive(self, event: Headers | StreamFault | Frame | h2.events.Event) -> Called | None:
        try:
            match event:
                case Headers():
                    self._begin(event)
                case h2.events.DataReceived():
                    self._http2.acknowledge(event.stream_id, event.flow_controlled_length)
                    self._read(event.stream_id, event.data)
                case h2.events.StreamEnded():
                    return self._complete(event.stream_id)
                case StreamFault(status=StatusCode.RESOURCE_EXHAUSTED):
                    raise _Refused(event.status, event.why)
                case StreamFault():
                    self._close(event.stream_id)
                    self._http2.reset(event.stream_id, event.code)
                case h2.events.StreamReset():
                    asked = self._close(event.stream_id)
                    if asked is not None and asked.handed_out:
                        self._taken_back.append(event.stream_id)
                case _:
                    return None
        except _Refused as refused:
            assert isinstance(event, Headers | StreamFault | h2.events.DataReceived | h2.events.StreamEnded)
            self._close(event.stream_id)
            self._http2.refuse(event.stream_id, _failed(refused.code, refused.why, (), http=refused.http))
        return None

    def _begin(self, event: Headers) -> None:
        if event.stream_id in self._asked:
            # trailers; a gRPC client has none
            return
        headers = dict(event.fields)
        if headers[b":method"] != b"POST":
            raise _Refused(StatusCode.INTERNAL, "gRPC is spoken by POST", http=b"405")
        if not headers.get(b"content-type", b"").startswith(b"application/grpc"):
            raise _Refused(StatusCode.INTERNAL, "content-type: expected application/grpc", http=b"415")
        path = headers[b":path"].decode(errors="replace")
        service, slash, method = path.removeprefix("/").rpartition("/")
        if not slash:
            raise _Refused(StatusCode.UNIMPLEMENTED, f"path {path[:80]!r}: expected /service/method")
        timeout = headers.get(b"grpc-timeout")
        try:
            timeout_nano = 0 if timeout is None else decode_timeout(timeout)
        except ValueError as error:
            raise _Refused(StatusCode.INTERNAL, str(error)) from None
        if timeout is not None and timeout_nano == 0:
            raise _Refused(StatusCode.DEADLINE_EXCEEDED, "context deadline exceeded")
        metadata = tuple(
            (name.decode(errors="replace"), value.decode(errors="replace"))
            for name, value in event.fields
            if name not in _RESERVED and not name.startswith((b":", b"grpc-"))
        )
        asked = _Asked(service, method, timeout_nano, metadata, event.fields.size)
        self._asked[event.stream_id] = asked
        self._incomplete[event.stream_id] = None
        self._asked_bytes += asked.held
        self._check_held()

    def _read(self, stream_id: int, data: bytes) -> None:
        asked = self._asked.get(stream_id)
        if asked is None:
            return
        before = asked.reader.held
        try:
            asked.reader.feed(data)
        except MessageError as error:
            raise _Refused(error.code, error.why) from None
        finally:
            self._asked_bytes += asked.reader.held - before
        self._check_held()

    def _check_held(self) -> None:
        if self._asked_bytes > HELD_BOUND:
            raise _Refused(
                StatusCode.RESOURCE_EXHAUSTED, f"calls that are not complete have more than {HELD_BOUND} bytes"
            )

    def _complete(self, stream_id: int) -> Called | None:
        asked = self._asked.get(stream_id)
        if asked is None:
            return None
        try:
            payload = asked.reader.finish()
        except MessageError as error:
            raise _Refused(error.code, error.why) from None
        if self._calls >= self._max_calls:
            # cancelled calls count until their handlers have ended
            raise _Refused(
                StatusCode.RESOURCE_EXHAUSTED,
                f"{self._max_calls} calls are in progress on this connection; wait for one to end",
            )
        self._forget_incomplete(stream_id, asked)
        asked.reader = MessageReader()
        asked.handed_out = True
        self._calls += 1
        return Called(stream_id, Request(asked.service, asked.method, payload, asked.timeout_nano, asked.metadata))


def _failed(code: int, message: str, details: tuple[bytes, ...], *, http: bytes = b"200") -> list[Header]:
    """A headers-only response."""
    headers: list[Header] = [
        (b":status", http),
        (b"content-type", b"application/grpc"),
        (b"grpc-status", b"%d" % (code if code > 0 else StatusCode.UNKNOWN)),
        never_indexed(b"grpc-message", encode_text(message)),
    ]
    packed = encode_details(code, message, details)
    if packed is not None:
        headers.append(never_indexed(b"grpc-status-details-bin", packed))
    return headers
