"""hyperstart framing: control channel and stream channel. Sans-I/O.

    control: | code u32 | length u32 | payload |        the length counts its own header of 8 bytes
    stream:  | sequence u64 | length u32 | payload |    and of 12 bytes

All big-endian. There is no resynchronisation marker: one wrong length ends the session, so a failed decoder stays
failed. Payloads are in `messages`; protocol state in `control` and `streams`.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from transports.errors import MessageTooLarge, RemoteProtocolError

__all__ = [
    "CONTROL_HEADER_BYTES",
    "STREAM_HEADER_BYTES",
    "STREAM_TO_GUEST_BYTES",
    "STREAM_TO_HOST_BYTES",
    "Code",
    "ControlDecoder",
    "ControlFrame",
    "StreamDecoder",
    "StreamFrame",
    "command_name",
    "encode_control",
    "encode_stream",
]

_CONTROL = struct.Struct(">II")
_STREAM = struct.Struct(">QI")
CONTROL_HEADER_BYTES, STREAM_HEADER_BYTES = _CONTROL.size, _STREAM.size

# a whole file comes in one reply; longer is rejected before anything is allocated
CONTROL_BYTES = 4 * 1024 * 1024
# whole frames on a serial port: a guest that reads a longer one leaves its main loop, and its kernel panics
STREAM_TO_GUEST_BYTES = 4096
# what a guest writes on a serial port; over vsock it is 65536
STREAM_TO_HOST_BYTES = 64 * 1024


class Code(IntEnum):
    """The codes of API 4244. Abandoned ones are answered with ERROR, like any unknown number."""

    GETVERSION = 0
    STARTPOD = 1
    DESTROYPOD = 4
    EXECCMD = 6
    READY = 8
    ACK = 9
    ERROR = 10
    WINSIZE = 11
    PING = 12
    NEXT = 14
    WRITEFILE = 15
    READFILE = 16
    NEWCONTAINER = 17
    KILLCONTAINER = 18
    ONLINECPUMEM = 19
    SETUPINTERFACE = 20
    SETUPROUTE = 21
    REMOVECONTAINER = 22
    PROCESSASYNCEVENT = 23
    SIGNALPROCESS = 24
    DELETEINTERFACE = 25


class ControlFrame(NamedTuple):
    """One frame of the control channel; `code` may be outside `Code`."""

    code: int
    payload: bytes


class StreamFrame(NamedTuple):
    """One frame of the stream channel; an empty payload means end of stream."""

    sequence: int
    payload: bytes


class _Decoder:
    """Cuts bytes into (first field, payload). Holds at most one incomplete frame, of at most `most` bytes."""

    def __init__(self, header: struct.Struct, most: int, name: str) -> None:
        self._header = header
        self._most = most
        self._name = name
        self._partial = bytearray()
        self._failure: RemoteProtocolError | None = None

    @property
    def failure(self) -> RemoteProtocolError | None:
        """An impossible length; sticky. No more frames are returned after it."""
        return self._failure

    @property
    def in_frame(self) -> bool:
        """A partly received frame is held."""
        return bool(self._partial)

    @property
    def lacking(self) -> int:
        """Bytes still missing from the partly received frame; a lower bound while its header is incomplete."""
        size = len(self._partial)
        length = self._header.unpack_from(self._partial)[1] if size >= self._header.size else self._header.size
        return min(length, self._most) - size if size else 0

    def cut(self, data: bytes) -> list[tuple[int, bytes]]:
        """The frames that `data` completes, up to a failure."""
        if self._failure is not None:
            return []
        self._partial += data
        frames: list[tuple[int, bytes]] = []
        position, size = 0, self._header.size
        while len(self._partial) - position >= size:
            first, length = self._header.unpack_from(self._partial, position)
            if not size <= length <= self._most:
                self._failure = RemoteProtocolError(
                    f"a {self._name} frame of {length} bytes; {size} to {self._most} is allowed"
                )
                position = len(self._partial)
                break
            if len(self._partial) - position < length:
                break
            frames.append((first, bytes(self._partial[position + size : position + length])))
            position += length
        del self._partial[:position]
        return frames


class ControlDecoder(_Decoder):
    """Cuts the bytes of a control channel."""

    def __init__(self) -> None:
        super().__init__(_CONTROL, CONTROL_BYTES, "control")

    def feed(self, data: bytes) -> list[ControlFrame]:
        """Take the next bytes, split at any point. Then check `failure`."""
        return [ControlFrame(code, payload) for code, payload in self.cut(data)]


class StreamDecoder(_Decoder):
    """Cuts the bytes of a stream channel; `most` is the longest whole frame."""

    def __init__(self, most: int) -> None:
        super().__init__(_STREAM, most, "stream")

    def feed(self, data: bytes) -> list[StreamFrame]:
        """Take the next bytes, split at any point. Then check `failure`."""
        return [StreamFrame(sequence, payload) for sequence, payload in self.cut(data)]


def encode_control(code: int, payload: bytes = b"") -> bytes:
    """One whole frame; send it in one write, as a guest that reads only the header dies. Raises: MessageTooLarge."""
    length = CONTROL_HEADER_BYTES + len(payload)
    if length > CONTROL_BYTES:
        raise MessageTooLarge(f"a control frame of {length} bytes; {CONTROL_BYTES} is the most")
    return _CONTROL.pack(code, length) + payload


def encode_stream(sequence: int, payload: bytes, most: int = STREAM_TO_GUEST_BYTES) -> bytes:
    """One whole frame; send it in one write, as for `encode_control`. Raises: MessageTooLarge."""
    length = STREAM_HEADER_BYTES + len(payload)
    if length > most:
        raise MessageTooLarge(f"a stream frame of {length} bytes; {most} is the most")
    return _STREAM.pack(sequence, length) + payload


def command_name(code: int) -> str:
    """A code's name for display; any number has one."""
    try:
        return Code(code).name
    except ValueError:
        return f"code {code}"
