"""Where HTTP/2 frames come in: cut from the stream, bounded, counted, and told apart from other protocols.

In front of h2, which reads a frame of any announced length before it looks at that length, and counts neither settings nor
pings nor resets. Sans-I/O; the clock is given. Not for what frames mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from transports.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["PREFACE", "Frame", "FrameGate", "Http2Fault", "looks_like"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES = 9
# what HTTP/2 takes for granted; we never ask for more
MAX_FRAME = 16384
# one call's headers are some 300 bytes
MAX_HEADER_BLOCK = 32 * 1024
MAX_CONTINUATIONS = 8

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4

PROTOCOL_ERROR, FRAME_SIZE_ERROR, ENHANCE_YOUR_CALM = 0x1, 0x6, 0xB

# frames that carry nothing and that we have to answer or to remember: a busy Go peer pings once for each window it
# measures, some ten a second
IDLE_BURST, IDLE_PER_SECOND = 1000.0, 100.0
# calls that are begun and taken back: each starts a task. An actor takes back as many as it has waits and reads
RESET_BURST, RESET_PER_SECOND = 500.0, 100.0
# one or two for each frame of 16 KiB that we send is the most that a peer has a use for
WINDOW_BURST, WINDOW_PER_SECOND = 20_000.0, 4000.0


class Http2Fault(RemoteProtocolError):
    """The peer broke HTTP/2, or a bound of ours; `code` is what its GOAWAY says."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Frame(NamedTuple):
    """One whole frame; `data` has its header too."""

    kind: int
    flags: int
    stream_id: int
    data: bytes


class _Bucket:
    """So many at once, and so many a second."""

    def __init__(self, burst: float, per_second: float, clock: Callable[[], float]) -> None:
        self._burst, self._per_second, self._clock = burst, per_second, clock
        self._left, self._at = burst, clock()

    def take(self) -> bool:
        """One more; False when there are too many."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class FrameGate:
    """One direction of one connection.

    Args:
        server: whether we are; its peer begins with the preface.
        clock: in seconds, from anywhere.
    """

    def __init__(self, *, server: bool, clock: Callable[[], float]) -> None:
        self._buffer = bytearray()
        self._preface = PREFACE if server else b""
        self._first = True
        self._block = 0
        self._continuations = 0
        self._idle = _Bucket(IDLE_BURST, IDLE_PER_SECOND, clock)
        self._windows = _Bucket(WINDOW_BURST, WINDOW_PER_SECOND, clock)
        self._resets = _Bucket(RESET_BURST, RESET_PER_SECOND, clock)

    @property
    def greeted(self) -> bool:
        """The peer has said its first word, and it is HTTP/2's."""
        return not self._first

    @property
    def lacking(self) -> int:
        """Bytes that the frame still lacks in whose midst they end; of one whose header is not whole, at least so many."""
        size = len(self._buffer)
        length = int.from_bytes(self._buffer[:3]) if size >= HEADER_BYTES else 0
        return HEADER_BYTES + min(length, MAX_FRAME) - size if size else 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take the next bytes, split anywhere; yield the frames that they complete.

        Raises (between frames):
            Http2Fault: nothing may be fed after it.
        """
        buffer = self._buffer
        buffer += data
        if self._preface:
            size = min(len(buffer), len(self._preface))
            if bytes(buffer[:size]) != self._preface[:size]:
                # its very first byte, however it was read, is what tells
                begun = PREFACE[: len(PREFACE) - len(self._preface)] + bytes(buffer[:1])
                raise Http2Fault(PROTOCOL_ERROR, f"the client does not speak HTTP/2{looks_like(begun[:1])}")
            self._preface = self._preface[size:]
            del buffer[:size]
        while len(buffer) >= HEADER_BYTES:
            length = int.from_bytes(buffer[:3])
            kind, flags = buffer[3], buffer[4]
            stream_id = int.from_bytes(buffer[5:9]) & 0x7FFFFFFF
            if self._first:
                self._check_first(length, kind, flags, stream_id)
            if length > MAX_FRAME:
                raise Http2Fault(FRAME_SIZE_ERROR, f"a frame of {length} bytes is announced; {MAX_FRAME} is the most")
            if len(buffer) < HEADER_BYTES + length:
                return
            frame = Frame(kind, flags, stream_id, bytes(buffer[: HEADER_BYTES + length]))
            del buffer[: HEADER_BYTES + length]
            self._first = False
            self._count(frame, length)
            yield frame

    def _check_first(self, length: int, kind: int, flags: int, stream_id: int) -> None:
        if kind != SETTINGS or flags & ACK or stream_id or length > MAX_FRAME:
            begun = bytes(self._buffer[:HEADER_BYTES])
            raise Http2Fault(
                PROTOCOL_ERROR, f"the peer does not speak HTTP/2: it began with {begun!r}{looks_like(begun)}"
            )

    def _count(self, frame: Frame, length: int) -> None:
        kind = frame.kind
        if kind in (HEADERS, PUSH_PROMISE, CONTINUATION):
            self._count_block(frame, length)
        elif kind == RST_STREAM:
            if not self._resets.take():
                raise Http2Fault(ENHANCE_YOUR_CALM, "the peer resets streams faster than any caller gives up")
        elif kind == WINDOW_UPDATE:
            if not self._windows.take():
                raise Http2Fault(ENHANCE_YOUR_CALM, "the peer opens windows by crumbs")
        elif (kind == DATA and (length or frame.flags & END_STREAM)) or kind == GOAWAY:
            # its windows bound it, or it comes once
            return
        elif not self._idle.take():
            raise Http2Fault(ENHANCE_YOUR_CALM, "the peer floods the connection with frames that carry nothing")

    def _count_block(self, frame: Frame, length: int) -> None:
        if frame.kind == CONTINUATION:
            self._continuations += 1
            self._block += length
        else:
            self._continuations = 0
            self._block = length
        if self._block > MAX_HEADER_BLOCK or self._continuations > MAX_CONTINUATIONS:
            raise Http2Fault(
                ENHANCE_YOUR_CALM,
                f"a header block of {self._block} bytes in {self._continuations + 1} frames;"
                f" {MAX_HEADER_BLOCK} in {MAX_CONTINUATIONS + 1} is the most",
            )
        if frame.flags & END_HEADERS:
            self._continuations = self._block = 0


def looks_like(begun: bytes) -> str:
    """What else a peer may be that began so; empty, or to be put behind a sentence."""
    if begun.startswith(b"HTTP/1"):
        return " (HTTP/1: no agent of Kata)"
    # its first four bytes are a length under 4 MiB
    if begun[:1] == b"\0":
        return " (ttRPC, as today's Kata agents speak it? then the dialect is ttrpc)"
    return ""
