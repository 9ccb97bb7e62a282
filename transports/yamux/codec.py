"""yamux framing, without I/O: a 12-byte header; only data frames have a body.

Protocol state is in `session`.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple

from transports.errors import RemoteProtocolError

__all__ = ["HEADER_BYTES", "WINDOW_BYTES", "Flag", "Frame", "FrameDecoder", "GoAway", "Kind", "encode"]

_HEADER = struct.Struct(">BBHII")
HEADER_BYTES = _HEADER.size
VERSION = 0
# a new stream's window in each direction; as we never enlarge it, also the largest valid frame body
WINDOW_BYTES = 256 * 1024


class Kind(IntEnum):
    """The type of a frame; it determines the meaning of `length`."""

    DATA = 0
    WINDOW = 1
    PING = 2
    GO_AWAY = 3


class Flag(IntFlag):
    """SYN opens (or asks), ACK accepts (or answers), FIN closes one direction, RST both at once."""

    SYN = 1
    ACK = 2
    FIN = 4
    RST = 8


class GoAway(IntEnum):
    """Why a session ends."""

    NORMAL = 0
    PROTOCOL = 1
    INTERNAL = 2


class Frame(NamedTuple):
    """One frame. `number`: a window increment, a ping's value or a reason; for a data frame, the body's length."""

    kind: Kind
    flags: int
    stream: int
    number: int
    body: bytes = b""


def encode(kind: Kind, flags: int, stream: int, number: int) -> bytes:
    """A header; a body of `number` bytes follows that of a data frame."""
    return _HEADER.pack(VERSION, kind, flags, stream, number)


class FrameDecoder:
    """Bytes in, frames out; holds less than one frame.

    Attributes:
        failure: unknown version, kind or flag, or a body over the window, detected at the header; sticky. Decoding stops there.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.failure: RemoteProtocolError | None = None

    @property
    def buffered(self) -> int:
        """Bytes held of an incomplete frame."""
        return len(self._buffer)

    @property
    def lacking(self) -> int:
        """Bytes still missing from the partly received frame; a lower bound while its header is incomplete."""
        size = len(self._buffer)
        if size < HEADER_BYTES:
            return HEADER_BYTES - size if size else 0
        _, kind, _, _, number = _HEADER.unpack_from(self._buffer)
        return HEADER_BYTES + (number if kind == Kind.DATA else 0) - size

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now, up to a failure. Then check `failure`."""
        frames: list[Frame] = []
        if self.failure is not None:
            return frames
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= HEADER_BYTES:
            version, kind, flags, stream, number = _HEADER.unpack_from(buffer, at)
            length = number if kind == Kind.DATA else 0
            why = _fault(version, kind, flags, length)
            if why is not None:
                self.failure = RemoteProtocolError(why)
                at = len(buffer)
                break
            end = at + HEADER_BYTES + length
            if len(buffer) < end:
                break
            frames.append(Frame(Kind(kind), flags, stream, number, bytes(buffer[at + HEADER_BYTES : end])))
            at = end
        del buffer[:at]
        return frames


def _fault(version: int, kind: int, flags: int, length: int) -> str | None:
    """Why the header is invalid, or None."""
    if version != VERSION:
        return f"yamux version {version}; expected {VERSION}"
    if kind > Kind.GO_AWAY or flags > 0xF:
        return f"yamux frame of kind {kind} with flags {flags:#x}; there is no such frame"
    if length > WINDOW_BYTES:
        return f"yamux frame of {length} bytes; a window has {WINDOW_BYTES}"
    return None
