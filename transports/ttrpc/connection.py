"""Who may send what when: the two sides of a ttRPC connection, without I/O.

Theory of operation. Bytes in (`receive_data`), events out, bytes out (`data_to_send`). A call is a stream id: odd, growing, used
once. An id is IDLE before its request, OPEN until its answer, then CLOSED; `TRANSITIONS`, one table for both sides, says what
each type of frame does to each state, and nothing else decides it. Only open ids are stored; `Numbers` tells the other two
states apart by what was used. Unary calls only: Data frames and their flags are known so that they are answered as the protocol
wants.

The sides differ in what a broken rule costs. A client's rules are about its server: one answer that can't be read, and the
connection has failed for good, since every other answer on it may be wrong; frames for nobody are dropped, up to a bound
(`Strays`), as an answer may cross a call that was given up. A server's are about one call: each offence is answered on its
stream id, and the others go on.

Nothing here waits. Not for deadlines, tasks and sockets: those are `client` and `server`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from transports.calls.connection import Called, Replied
from transports.calls.outgoing import OutgoingFrames
from transports.errors import LocalProtocolError, MessageTooLarge, RemoteProtocolError, StatusCode
from transports.numbers import Numbers
from transports.strays import Strays
from transports.ttrpc.codec import (
    DATA,
    MAX_BODY,
    REQUEST,
    RESPONSE,
    DecodeError,
    FrameDecoder,
    decode_request,
    decode_response,
    encode_frame,
    encode_metadata,
    encode_method,
    encode_request,
    encode_response,
    encode_status,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transports.ttrpc.codec import Frame

__all__ = ["ClientConnection", "ServerConnection", "Stream", "Verdict"]

# nothing that speaks ttRPC handles more; the next call needs a new connection
LAST_STREAM_ID = 2**31 - 1
# a length's first byte is always 0. An old server may answer somewhat too much, which fails that call alone; more than
# this is no ttRPC, and waiting for so many bytes would block the link
ABSURD_BODY = 2**24 - 1
TIMEOUT_LIMIT = 2**63


class Stream(IntEnum):
    """What a stream id has seen. Only open ones are stored: `Numbers` tells the other two apart."""

    IDLE = 0
    OPEN = 1
    CLOSED = 2


class Verdict(IntEnum):
    """What becomes of a frame: the receiver's next step."""

    DELIVER = 0
    REFUSE = 1
    DROP = 2


# beside the types of frames: the caller wants no answer any more. ttRPC has no frame for it
GIVE_UP = 0

# (state, type of the frame) -> (next state, verdict). Whatever is wrong with an open stream closes it, for an id
# gets one answer.
TRANSITIONS: Mapping[tuple[Stream, int], tuple[Stream, Verdict]] = {
    (Stream.IDLE, REQUEST): (Stream.OPEN, Verdict.DELIVER),
    (Stream.OPEN, REQUEST): (Stream.CLOSED, Verdict.REFUSE),
    (Stream.CLOSED, REQUEST): (Stream.CLOSED, Verdict.REFUSE),
    (Stream.IDLE, RESPONSE): (Stream.IDLE, Verdict.DROP),
    (Stream.OPEN, RESPONSE): (Stream.CLOSED, Verdict.DELIVER),
    (Stream.CLOSED, RESPONSE): (Stream.CLOSED, Verdict.DROP),
    (Stream.IDLE, DATA): (Stream.IDLE, Verdict.REFUSE),
    (Stream.OPEN, DATA): (Stream.CLOSED, Verdict.REFUSE),
    (Stream.CLOSED, DATA): (Stream.CLOSED, Verdict.REFUSE),
    (Stream.IDLE, GIVE_UP): (Stream.IDLE, Verdict.DROP),
    (Stream.OPEN, GIVE_UP): (Stream.CLOSED, Verdict.DROP),
    (Stream.CLOSED, GIVE_UP): (Stream.CLOSED, Verdict.DROP),
}

# attribute look-ups on an enum class are slow, and this is done for each frame
_IDLE, _OPEN, _CLOSED = Stream
_DELIVER = Verdict.DELIVER


class _Streams(OutgoingFrames):
    """Stream ids and their states, and the frames that wait to be sent. Common to both sides."""

    def __init__(self) -> None:
        super().__init__()
        self._decoder = FrameDecoder()
        self._open: set[int] = set()
        self._numbers = Numbers(1)

    @property
    def open_streams(self) -> int:
        """Calls without an answer yet."""
        return len(self._open)

    def _step(self, stream_id: int, kind: int) -> Verdict:
        if stream_id in self._open:
            after, verdict = TRANSITIONS[_OPEN, kind]
            if after is not _OPEN:
                self._open.discard(stream_id)
            return verdict
        after, verdict = TRANSITIONS[_IDLE if self._numbers.fresh(stream_id) else _CLOSED, kind]
        if after is _OPEN:
            self._open.add(stream_id)
            self._numbers.use(stream_id)
        return verdict


class ClientConnection(_Streams):
    """The calling side: odd ids, sent in increasing order. `metadata` goes with each call."""

    def __init__(self, metadata: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__()
        self._metadata = encode_metadata(metadata)
        self._failure: RemoteProtocolError | None = None
        self._methods: dict[tuple[str, str], bytes] = {}
        self._strays = Strays()
        self.dropped_replies = 0

    @property
    def failure(self) -> RemoteProtocolError | None:
        """What the server broke; sticky. The connection is to be closed."""
        return self._failure

    @property
    def lacking(self) -> int:
        """Bytes that the frame still lacks in whose midst what was received ends; 0 between frames."""
        return self._decoder.lacking

    @property
    def leaving(self) -> None:
        """ttRPC has no word for it."""
        return None

    @property
    def busy(self) -> bool:
        """Never: ttRPC has no windows."""
        return False

    def send_request(self, service: str, method: str, payload: bytes, timeout_nano: int = 0) -> int:
        """Queue one call and return its stream id. `timeout_nano`: 0 (none) to 2**63 - 1.

        Raises:
            MessageTooLarge: the encoded Request is over 4 MiB; nothing was queued.
            LocalProtocolError: a timeout out of range, ids used up, or the connection has failed.
        """
        if self._failure is not None:
            raise LocalProtocolError(f"no call on a connection that failed: {self._failure}")
        if not 0 <= timeout_nano < TIMEOUT_LIMIT:
            raise LocalProtocolError(f"timeout_nano is {timeout_nano}; 0 (none) to 2**63 - 1 is allowed")
        highest = self._numbers.highest
        stream_id = highest + 2 if highest else 1
        if stream_id > LAST_STREAM_ID:
            raise LocalProtocolError("the stream ids of this connection are used up; open a new one")
        head = self._methods.get((service, method))
        if head is None:
            head = self._methods[service, method] = encode_method(service, method)
        body = encode_request(head, payload, timeout_nano, self._metadata)
        if len(body) > MAX_BODY:
            raise MessageTooLarge(
                f"{service}/{method}: the request has {len(body)} bytes and a frame carries {MAX_BODY}; send less at once"
            )
        self._step(stream_id, REQUEST)
        self._queue(encode_frame(REQUEST, stream_id, body))
        return stream_id

    def forget(self, stream_id: int) -> None:
        """The caller gave up; its late answer will be counted in `dropped_replies` and dropped."""
        if stream_id in self._open:
            self._strays.late += 1
        self._step(stream_id, GIVE_UP)

    def receive_data(self, data: bytes) -> list[Replied]:
        """Take bytes from the server; return the answers that they complete. Then look at `failure`.

        An answer that is none (undecodable, or Data on a unary call) sets `failure`, and so do a length that no agent
        means and frames for nobody by the dozen; nothing is read after it.
        """
        replies: list[Replied] = []
        if self._failure is not None:
            return replies
        for frame in self._decoder.feed(data):
            kind, stream_id = frame.kind, frame.stream_id
            if frame.length > ABSURD_BODY:
                self._failure = RemoteProtocolError(
                    f"a frame of {frame.length} bytes is announced, where {MAX_BODY} is the most: is this ttRPC?"
                )
                break
            was_open = stream_id in self._open
            if kind not in (RESPONSE, DATA):
                if not self._overlook(frame):
                    break
            elif self._step(stream_id, kind) is _DELIVER:
                reply = self._reply(frame)
                if reply is None:
                    break
                replies.append(reply)
            elif was_open:
                self._failure = RemoteProtocolError(f"stream {stream_id} is a unary call and got a Data frame")
                break
            elif not self._overlook(frame):
                break
        return replies

    def _overlook(self, frame: Frame) -> bool:
        """A frame for nobody; False when there have been too many."""
        try:
            if frame.kind == RESPONSE and frame.stream_id <= self._numbers.highest:
                self._strays.take_late(f"an answer to call {frame.stream_id}, which waits for none")
            else:
                self._strays.take(f"a frame of type {frame.kind} on stream {frame.stream_id}")
        except RemoteProtocolError as error:
            self._failure = error
            return False
        if frame.kind in (RESPONSE, DATA):
            self.dropped_replies += 1
        return True

    def _reply(self, frame: Frame) -> Replied | None:
        if frame.oversize:
            return Replied(frame.stream_id, StatusCode.RESOURCE_EXHAUSTED, _oversize(frame), b"")
        try:
            return Replied(frame.stream_id, *decode_response(frame.buffer, frame.start, frame.end))
        except DecodeError as error:
            self._failure = RemoteProtocolError(
                f"the response on stream {frame.stream_id} can't be decoded: {error.within(frame.start)}"
            )
            return None


class ServerConnection(_Streams):
    """The answering side. Nothing that a client sends fails it: each offence is answered on its stream id.

    Args:
        max_calls: calls in progress at once; one more is answered RESOURCE_EXHAUSTED.

    Attributes:
        calls: those that were returned and neither replied to nor failed yet.
    """

    def __init__(self, max_calls: int) -> None:
        super().__init__()
        self._max_calls = max_calls
        # not the open streams: a spoiled call is answered and closed while its handler still runs
        self.calls = 0
        self._cuts = 0
        self._failure: RemoteProtocolError | None = None
        self.dropped_replies = 0

    @property
    def failure(self) -> RemoteProtocolError | None:
        """Nothing that a client sends sets it, `end` alone."""
        return self._failure

    @property
    def unfinished(self) -> tuple[int, int]:
        """Of the one frame that is not whole."""
        return self._decoder.held, self._cuts

    def end(self, why: str) -> None:
        """Answers the call whose frame is not whole, if its header is."""
        stream_id = self._decoder.announced
        if stream_id is not None:
            self._refuse(stream_id, why, StatusCode.RESOURCE_EXHAUSTED)
        self._failure = RemoteProtocolError(why)

    @property
    def busy(self) -> bool:
        """Never: ttRPC has no windows."""
        return False

    def receive_data(self, data: bytes) -> list[Called]:
        """Take bytes from the client; return the calls that they complete. Refusals are queued here."""
        calls: list[Called] = []
        frames = self._decoder.feed(data)
        self._cuts += len(frames)
        for frame in frames:
            call = self._receive(frame)
            if call is not None:
                calls.append(call)
        return calls

    @property
    def takes_back(self) -> bool:
        """It can't: ttRPC has no word for it."""
        return False

    def taken_back(self) -> tuple[int, ...]:
        """None, see `takes_back`."""
        return ()

    def send_reply(self, stream_id: int, payload: bytes) -> None:
        """Queue the answer to a call; one over 4 MiB becomes RESOURCE_EXHAUSTED. To a spoiled call: dropped, counted."""
        body = encode_response(payload)
        if len(body) > MAX_BODY:
            message = f"the response has {len(body)} bytes and a frame carries {MAX_BODY}"
            body = encode_status(StatusCode.RESOURCE_EXHAUSTED, message)
        self._answer(stream_id, body)

    def send_status(self, stream_id: int, code: int, message: str, details: tuple[bytes, ...] = ()) -> None:
        """Queue a failure as the answer to a call. To a spoiled call: dropped, counted."""
        self._answer(stream_id, encode_status(code, message, details))

    def _answer(self, stream_id: int, body: bytes) -> None:
        self.calls -= 1
        if self._step(stream_id, RESPONSE) is _DELIVER:
            self._queue(encode_frame(RESPONSE, stream_id, body))
        else:
            self.dropped_replies += 1

    def _receive(self, frame: Frame) -> Called | None:
        kind, stream_id = frame.kind, frame.stream_id
        if kind not in (REQUEST, DATA):
            return None
        if stream_id % 2 == 0:
            self._refuse(stream_id, "StreamID must be odd for client initiated streams")
            return None
        was_open = stream_id in self._open
        if self._step(stream_id, kind) is _DELIVER:
            return self._call(frame)
        if frame.oversize:
            self._refuse(stream_id, _oversize(frame), StatusCode.RESOURCE_EXHAUSTED)
        elif kind == REQUEST:
            self._refuse(stream_id, "StreamID cannot be re-used and must increment")
        elif was_open:
            self._refuse(stream_id, "StreamID is a unary call and takes no data")
        else:
            self._refuse(stream_id, "StreamID is no longer active")
        return None

    def _call(self, frame: Frame) -> Called | None:
        stream_id = frame.stream_id
        try:
            request = decode_request(frame.buffer, frame.start, frame.end)
        except DecodeError as error:
            code, message = StatusCode.INVALID_ARGUMENT, f"unmarshal request error: {error.within(frame.start)}"
        else:
            if frame.oversize:
                code, message = StatusCode.RESOURCE_EXHAUSTED, _oversize(frame)
            elif request.timeout_nano < 0:
                code, message = StatusCode.DEADLINE_EXCEEDED, "context deadline exceeded"
            elif self.calls >= self._max_calls:
                code = StatusCode.RESOURCE_EXHAUSTED
                message = f"{self._max_calls} calls are in progress on this connection; wait for one to end"
            else:
                self.calls += 1
                return Called(stream_id, request)
        self._step(stream_id, RESPONSE)
        self._refuse(stream_id, message, code)
        return None

    def _refuse(self, stream_id: int, message: str, code: int = StatusCode.INVALID_ARGUMENT) -> None:
        self._queue(encode_frame(RESPONSE, stream_id, encode_status(code, message)))


def _oversize(frame: Frame) -> str:
    return f"message length {frame.length} exceed maximum message size of {MAX_BODY}"
