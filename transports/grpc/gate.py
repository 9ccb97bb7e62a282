"""Incoming HTTP/2 frames: cut from the byte stream, bounded, rate-limited, and told apart from other protocols.

Sits in front of h2, which buffers a frame of any announced length before checking that length, and does not
rate-limit settings, pings or resets. A header block is yielded whole, without padding and priority, which nobody uses;
frames of unknown types are dropped. Sans-I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from transports.errors import RemoteProtocolError
from transports.strays import IDLE, RESETS, WINDOWS, Bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["PREFACE", "Block", "Frame", "FrameGate", "Http2Fault", "looks_like"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES = 9
# HTTP/2's default; we never raise it
MAX_FRAME = 16384
# four times the header list size that we advertise: a rejected call's headers must still be decoded, as HPACK's dynamic
# table is shared with later blocks. One call's headers are some 300 bytes
MAX_HEADER_BLOCK = 256 * 1024
# twice the number of default-size frames that this takes
MAX_CONTINUATIONS = 32

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
PRIORITY_BYTES = 5

NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR = 0x0, 0x1, 0x3, 0x5, 0x6
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 0x7, 0x8, 0x9, 0xB


class Http2Fault(RemoteProtocolError):
    """The peer violated HTTP/2, or exceeded a bound; `code` is for the GOAWAY."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Frame(NamedTuple):
    """One whole frame; `data` includes its header."""

    kind: int
    flags: int
    stream_id: int
    data: bytes


class Block(NamedTuple):
    """A whole header block, still compressed; `end`: END_STREAM was set."""

    stream_id: int
    end: bool
    fragment: bytes


class FrameGate:
    """The receiving side of one connection.

    Args:
        server: whether we are the server; its peer starts with the preface.
        clock: monotonic seconds with any origin.
    """

    def __init__(self, *, server: bool, clock: Callable[[], float]) -> None:
        self._buffer = bytearray()
        self._preface = PREFACE if server else b""
        self._first = True
        # the fragments so far of an incomplete header block
        self._block: Block | None = None
        self._continuations = 0
        self._idle = Bucket(IDLE, clock)
        self._windows = Bucket(WINDOWS, clock)
        self._resets = Bucket(RESETS, clock)

    @property
    def greeted(self) -> bool:
        """The peer has sent a valid HTTP/2 preface."""
        return not self._first

    @property
    def held(self) -> int:
        """Bytes held of an incomplete frame and an incomplete header block."""
        return len(self._buffer) + (len(self._block.fragment) if self._block is not None else 0)

    @property
    def lacking(self) -> int:
        """Bytes still missing from the partly received frame; a lower bound while its header is incomplete."""
        size = len(self._buffer)
        length = int.from_bytes(self._buffer[:3]) if size >= HEADER_BYTES else 0
        return HEADER_BYTES + min(length, MAX_FRAME) - size if size else 0

    def feed(self, data: bytes) -> Iterator[Frame | Block]:
        """Take the next bytes, split at any point; yield the frames and header blocks that they complete.

        Raises (between frames):
            Http2Fault: the connection is unusable after it.
        """
        buffer = self._buffer
        buffer += data
        if self._preface:
            size = min(len(buffer), len(self._preface))
            if bytes(buffer[:size]) != self._preface[:size]:
                # judged from the first byte on, however the bytes were split
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
            self._count(frame)
            if kind in (HEADERS, CONTINUATION) or self._block is not None:
                block = self._read_block(frame)
                if block is not None:
                    yield block
            elif kind != PRIORITY and kind <= CONTINUATION:
                # other frame types are extensions that nobody negotiated
                yield frame

    def _check_first(self, length: int, kind: int, flags: int, stream_id: int) -> None:
        if kind != SETTINGS or flags & ACK or stream_id or length > MAX_FRAME:
            begun = bytes(self._buffer[:HEADER_BYTES])
            raise Http2Fault(
                PROTOCOL_ERROR, f"the peer does not speak HTTP/2: it began with {begun!r}{looks_like(begun)}"
            )

    def _count(self, frame: Frame) -> None:
        kind = frame.kind
        if kind == RST_STREAM:
            self.count_reset()
        elif kind == WINDOW_UPDATE:
            if not self._windows.take():
                raise Http2Fault(ENHANCE_YOUR_CALM, "the peer opens windows by crumbs")
        elif kind in (HEADERS, CONTINUATION) or (kind == DATA and (_content(frame) or frame.flags & END_STREAM)):
            # bounded by header blocks, windows and streams
            return
        else:
            self.count_idle()

    def count_idle(self) -> None:
        """Count a frame that carries nothing. Raises: Http2Fault, over the rate limit."""
        if not self._idle.take():
            raise Http2Fault(ENHANCE_YOUR_CALM, "the peer floods the connection with frames that carry nothing")

    def count_reset(self) -> None:
        """Count a stream that the peer opened in vain. Raises: Http2Fault, over the rate limit."""
        if not self._resets.take():
            raise Http2Fault(ENHANCE_YOUR_CALM, "the peer has streams reset faster than any caller gives up")

    def _read_block(self, frame: Frame) -> Block | None:
        """The block, once complete."""
        begun = self._block
        if frame.kind == HEADERS and begun is None:
            self._continuations = 0
            block = Block(frame.stream_id, bool(frame.flags & END_STREAM), _fragment(frame))
        elif frame.kind == CONTINUATION and begun is not None and begun.stream_id == frame.stream_id:
            self._continuations += 1
            block = begun._replace(fragment=begun.fragment + frame.data[HEADER_BYTES:])
        else:
            raise Http2Fault(PROTOCOL_ERROR, "a header block is interrupted, or goes on where none was begun")
        if len(block.fragment) > MAX_HEADER_BLOCK or self._continuations > MAX_CONTINUATIONS:
            raise Http2Fault(
                ENHANCE_YOUR_CALM,
                f"a header block of {len(block.fragment)} bytes in {self._continuations + 1} frames;"
                f" {MAX_HEADER_BLOCK} in {MAX_CONTINUATIONS + 1} is the most",
            )
        whole = bool(frame.flags & END_HEADERS)
        self._block = None if whole else block
        return block if whole else None


def _content(frame: Frame) -> int:
    """Bytes of a DATA frame without padding; undefined for a malformed frame."""
    size = len(frame.data) - HEADER_BYTES
    return size - 1 - frame.data[HEADER_BYTES] if size and frame.flags & PADDED else size


def _fragment(frame: Frame) -> bytes:
    """The header block fragment of a HEADERS frame. Raises: Http2Fault."""
    start, end = HEADER_BYTES, len(frame.data)
    if frame.flags & PADDED and start < end:
        end -= frame.data[start]
        start += 1
    if frame.flags & WITH_PRIORITY:
        start += PRIORITY_BYTES
    if not frame.stream_id or start > end or (frame.flags & PADDED and len(frame.data) == HEADER_BYTES):
        raise Http2Fault(PROTOCOL_ERROR, "a HEADERS frame without a stream, or shorter than it says")
    return frame.data[start:end]


def looks_like(begun: bytes) -> str:
    """What other protocol starts with these bytes, as a clause to append to a sentence; empty if unknown."""
    if begun.startswith(b"HTTP/1"):
        return " (HTTP/1: no agent of Kata)"
    # its first four bytes are a length under 4 MiB
    if begun[:1] == b"\0":
        return " (ttRPC, as today's Kata agents speak it? then the dialect is ttrpc)"
    return ""
