"""The calling side of a gRPC connection, without I/O: unary calls, their replies, and how they fail.

Implements `transports.calls.connection.CallingConnection`. HTTP/2 itself is in `http2`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h2.events
import h2.exceptions

from transports.calls.connection import Replied
from transports.errors import LocalProtocolError, MessageTooLarge, StatusCode, TransportError, Unreachable
from transports.grpc.codec import (
    MAX_MESSAGE,
    MessageError,
    MessageReader,
    decode_details,
    decode_text,
    encode_message,
    encode_timeout,
    status_of_http,
    status_of_reset,
)
from transports.grpc.compression import never_indexed
from transports.grpc.gate import CANCEL, Frame
from transports.grpc.http2 import HELD_BOUND, Headers, Http2, StreamFault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transports.grpc.http2 import Header

__all__ = ["ClientConnection"]

# we allow no server push, but h2 wants a number
NO_STREAMS = 0
# request bytes waiting for the agent's flow-control window; beyond it, callers wait
REQUESTS_HELD = 4 * 1024 * 1024
TIMEOUT_LIMIT = 2**63
RESET_BYTES = 13


class _Answer:
    """The partial reply to one call. Failures made here are never UNIMPLEMENTED: only the agent may say that."""

    __slots__ = ("headers", "reader")

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.reader = MessageReader(unreadable=StatusCode.INTERNAL)


class ClientConnection:
    """The calling side. See `transports.calls.connection.CallingConnection`.

    Args:
        clock: monotonic seconds with any origin; used only for rate limits.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._http2 = Http2(server=False, max_streams=NO_STREAMS, clock=clock)
        self._answers: dict[int, _Answer] = {}
        self._answer_bytes = 0
        self._given_up: list[int] = []
        self._heads: dict[tuple[str, str], list[Header]] = {}
        self._leaving: Unreachable | None = None
        self.dropped_replies = 0

    @property
    def failure(self) -> TransportError | None:
        """The server's protocol violation, if any; sticky. Close the connection."""
        return self._http2.failure

    @property
    def leaving(self) -> Unreachable | None:
        """The server sent GOAWAY: it takes no more calls, but still answers those in progress."""
        return self._leaving

    @property
    def greeted(self) -> bool:
        """The server has sent a valid HTTP/2 preface."""
        return self._http2.greeted

    @property
    def lacking(self) -> int:
        """Bytes still missing from the partly received frame; 0 between frames."""
        return self._http2.lacking

    @property
    def busy(self) -> bool:
        """No call can be started now: the server's stream limit or flow-control window is used up. Changes as bytes arrive."""
        return self._http2.streams_left <= 0 or self._http2.held_bytes > REQUESTS_HELD

    @property
    def outgoing_bytes(self) -> int:
        """Bytes queued and not yet taken by `data_to_send`."""
        return self._http2.outgoing_bytes + RESET_BYTES * len(self._given_up)

    @property
    def outgoing_frames(self) -> int:
        """Frames queued and not yet taken by `data_to_send`."""
        return self._http2.outgoing_frames + len(self._given_up)

    def data_to_send(self) -> bytes:
        """Take everything that is queued; empty when nothing is."""
        # sorted: the order among callers cancelled together is not deterministic
        for stream_id in sorted(self._given_up):
            self._http2.reset(stream_id, CANCEL)
        self._given_up.clear()
        return self._http2.data_to_send()

    def send_request(self, service: str, method: str, payload: bytes, timeout_nano: int = 0) -> int:
        """Queue one call and return its stream id. `timeout_nano`: 0 (none) to 2**63 - 1.

        Raises:
            MessageTooLarge: over 4 MiB; nothing was queued.
            LocalProtocolError: a timeout out of range, ids used up, or the connection has failed; nothing was queued.
            Unreachable: the server takes no more calls; nothing was queued.
        """
        if self._http2.failure is not None:
            raise LocalProtocolError(f"no call on a connection that failed: {self._http2.failure}")
        if self._leaving is not None:
            raise Unreachable(*self._leaving.args)
        if not 0 <= timeout_nano < TIMEOUT_LIMIT:
            raise LocalProtocolError(f"timeout_nano is {timeout_nano}; 0 (none) to 2**63 - 1 is allowed")
        if len(payload) > MAX_MESSAGE:
            raise MessageTooLarge(
                f"{service}/{method}: the request has {len(payload)} bytes and a message has at most {MAX_MESSAGE};"
                " send less at once"
            )
        headers = self._head(service, method)
        if timeout_nano:
            headers = [*headers, never_indexed(b"grpc-timeout", encode_timeout(timeout_nano))]
        try:
            stream_id = self._http2.open_stream(headers, encode_message(payload))
        except h2.exceptions.ProtocolError as error:
            raise LocalProtocolError(f"no call can be begun on this connection: {error}; open a new one") from error
        self._answers[stream_id] = _Answer()
        return stream_id

    def forget(self, stream_id: int) -> None:
        """The caller gave up: its stream is reset at the next `data_to_send`. A late reply is dropped."""
        if self._close(stream_id) is not None:
            self._given_up.append(stream_id)
            self._http2.drop(stream_id)
            self.dropped_replies += 1

    def receive_data(self, data: bytes) -> Sequence[Replied]:
        """Take bytes from the server; return the replies that they complete. Then check `failure` and `leaving`."""
        replies: list[Replied] = []
        for event in self._http2.receive(data):
            reply = self._receive(event, replies)
            if reply is not None:
                replies.append(reply)
        return replies

    def _head(self, service: str, method: str) -> list[Header]:
        head = self._heads.get((service, method))
        if head is None:
            head = self._heads[service, method] = [
                (b":method", b"POST"),
                (b":scheme", b"http"),
                (b":path", f"/{service}/{method}".encode()),
                (b":authority", b"localhost"),
                (b"te", b"trailers"),
                (b"content-type", b"application/grpc"),
                (b"user-agent", b"katrio"),
            ]
        return head

    def _close(self, stream_id: int) -> _Answer | None:
        answer = self._answers.pop(stream_id, None)
        if answer is not None:
            self._answer_bytes -= answer.reader.held
        return answer

    def _receive(
        self, event: Headers | StreamFault | Frame | h2.events.Event, replies: list[Replied]
    ) -> Replied | None:
        match event:
            case Headers():
                return self._receive_headers(event)
            case h2.events.DataReceived():
                return self._receive_message(event)
            case h2.events.StreamEnded(stream_id=stream_id):
                answer = self._close(stream_id)
                if answer is None:
                    return None
                if self._http2.holds(stream_id):
                    # answered before the whole request was sent: the rest of it is useless
                    self._http2.reset(stream_id, CANCEL)
                return _finished(stream_id, answer)
            case h2.events.StreamReset(stream_id=stream_id, error_code=code):
                if self._close(stream_id) is not None:
                    why = f"the agent reset the call (HTTP/2 error {int(code or 0)})"
                    return Replied(stream_id, status_of_reset(int(code or 0)), why, b"")
            case StreamFault(stream_id, code, status, why):
                return self._refuse(stream_id, code, status, f"the agent's answer: {why}")
            case Frame():
                replies.extend(self._leave(event))
            case _:
                return None
        return None

    def _receive_headers(self, event: Headers) -> Replied | None:
        answer = self._answers.get(event.stream_id)
        if answer is None:
            return None
        answer.headers.update(event.fields)
        why = _foreign(answer.headers)
        if why is None:
            return None
        # not a gRPC server: ignore what follows
        return self._refuse(event.stream_id, CANCEL, status_of_http(int(answer.headers[b":status"])), why)

    def _refuse(self, stream_id: int, code: int, status: StatusCode, why: str) -> Replied | None:
        """Stop receiving a reply, and fail its call."""
        if self._close(stream_id) is None:
            return None
        self._http2.reset(stream_id, code)
        return Replied(stream_id, status, why, b"")

    def _receive_message(self, event: h2.events.DataReceived) -> Replied | None:
        stream_id = event.stream_id
        self._http2.acknowledge(stream_id, event.flow_controlled_length)
        answer = self._answers.get(stream_id)
        if answer is None:
            return None
        before = answer.reader.held
        try:
            answer.reader.feed(event.data)
            self._answer_bytes += answer.reader.held - before
            if self._answer_bytes > HELD_BOUND:
                raise MessageError(
                    StatusCode.RESOURCE_EXHAUSTED, f"answers that are not complete have more than {HELD_BOUND} bytes"
                )
        except MessageError as error:
            self._answer_bytes += answer.reader.held - before
            return self._refuse(stream_id, CANCEL, error.code, f"the agent's answer: {error.why}")
        return None

    def _leave(self, frame: Frame) -> list[Replied]:
        """Fail the calls above a GOAWAY's last stream id: the server never looked at them."""
        last = int.from_bytes(frame.data[9:13]) & 0x7FFFFFFF if len(frame.data) >= 17 else 0
        code = int.from_bytes(frame.data[13:17])
        said = frame.data[17:217].decode(errors="replace")
        why = f"the agent takes no more calls on this connection (GOAWAY, HTTP/2 error {code}{': ' if said else ''}{said})"
        if self._leaving is None:
            self._leaving = Unreachable(why)
        lost = [stream_id for stream_id in self._answers if stream_id > last]
        for stream_id in lost:
            self._close(stream_id)
            self._http2.abandon(stream_id)
        return [Replied(stream_id, StatusCode.UNAVAILABLE, why, b"") for stream_id in lost]


def _foreign(headers: dict[bytes, bytes]) -> str | None:
    """Why a reply is not from a gRPC server but from another HTTP server or a proxy, whose body is a page."""
    if b"grpc-status" in headers:
        return None
    http, kind = headers[b":status"], headers.get(b"content-type", b"")
    if http == b"200" and (not kind or kind.startswith(b"application/grpc")):
        return None
    said = f"HTTP status {http.decode(errors='replace')}, content-type {kind[:80].decode(errors='replace') or 'none'}"
    return f"the answer is not gRPC: it has no grpc-status ({said})"


def _finished(stream_id: int, answer: _Answer) -> Replied:
    headers = answer.headers
    status = headers.get(b"grpc-status")
    code: int
    if status is None:
        return Replied(stream_id, StatusCode.UNKNOWN, "the answer has no grpc-status", b"")
    code = int(status) if status.isdigit() and len(status) < 10 else StatusCode.UNKNOWN
    if code:
        message = decode_text(headers.get(b"grpc-message", b""))
        details = decode_details(headers.get(b"grpc-status-details-bin", b""))
        return Replied(stream_id, code, message, b"", details)
    try:
        return Replied(stream_id, 0, "", answer.reader.finish())
    except MessageError as error:
        return Replied(stream_id, error.code, f"the agent's answer: {error.why}", b"")
