"""HTTP/2 bytes as a gRPC peer puts them on the wire, good and bad, made frame by frame.

For tests of `transports.grpc`. By hyperframe and hpack and not by h2, which keeps rules that a hostile peer does not.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "PREFACE",
    "SETTINGS",
    "Peer",
    "data",
    "frames_of",
    "goaway",
    "message",
    "ping",
    "reset",
    "settings",
    "window",
]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
REQUEST = (
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "x"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
)


def settings(**values: int) -> bytes:
    """SETTINGS by the names of hyperframe's constants; with `ack=1`, the acknowledgement."""
    if values.pop("ack", 0):
        return SettingsFrame(0, flags=["ACK"]).serialize()
    return SettingsFrame(
        0, settings={getattr(SettingsFrame, name): value for name, value in values.items()}
    ).serialize()


SETTINGS = settings()


def message(payload: bytes, *, compressed: int = 0) -> bytes:
    """With gRPC's prefix."""
    return struct.pack(">BI", compressed, len(payload)) + payload


def data(stream_id: int, body: bytes, *, end: bool = False) -> bytes:
    """One DATA frame."""
    return DataFrame(stream_id, body, flags=["END_STREAM"] if end else []).serialize()


def ping(number: int = 0) -> bytes:
    """A PING."""
    return PingFrame(0, number.to_bytes(8)).serialize()


def reset(stream_id: int, code: int = 8) -> bytes:
    """A RST_STREAM."""
    return RstStreamFrame(stream_id, code).serialize()


def window(stream_id: int, more: int) -> bytes:
    """A WINDOW_UPDATE."""
    return WindowUpdateFrame(stream_id, more).serialize()


def goaway(last: int, code: int = 0, said: bytes = b"") -> bytes:
    """A GOAWAY."""
    return GoAwayFrame(0, last, code, said).serialize()


class Peer:
    """Whoever sends headers: they are compressed with what was sent before."""

    def __init__(self) -> None:
        self._encoder = Encoder()

    def headers(self, stream_id: int, *fields: tuple[str, str], end: bool = False, pieces: int = 1) -> bytes:
        """A header block, in one HEADERS frame and CONTINUATIONs."""
        block = self._encoder.encode(list(fields), huffman=False)
        size = -(-len(block) // pieces) or 1
        parts = [block[at : at + size] for at in range(0, len(block), size)] or [b""]
        frames: list[Frame] = [HeadersFrame(stream_id, parts[0])]
        frames += [ContinuationFrame(stream_id, part) for part in parts[1:]]
        frames[-1].flags.add("END_HEADERS")
        if end:
            frames[0].flags.add("END_STREAM")
        return b"".join(frame.serialize() for frame in frames)

    def request(self, stream_id: int, path: str = "/t.S/Echo", *fields: tuple[str, str], end: bool = False) -> bytes:
        """The headers of a call."""
        return self.headers(stream_id, *REQUEST[:2], (":path", path), *REQUEST[2:], *fields, end=end)

    def call(self, stream_id: int, payload: bytes = b"", path: str = "/t.S/Echo", *fields: tuple[str, str]) -> bytes:
        """A whole call."""
        return self.request(stream_id, path, *fields) + data(stream_id, message(payload), end=True)

    def answer(self, stream_id: int, payload: bytes = b"", *trailers: tuple[str, str]) -> bytes:
        """A whole answer."""
        return (
            self.headers(stream_id, (":status", "200"), ("content-type", "application/grpc"))
            + data(stream_id, message(payload))
            + self.headers(stream_id, ("grpc-status", "0"), *trailers, end=True)
        )

    def failure(self, stream_id: int, code: int, text: str = "", *fields: tuple[str, str]) -> bytes:
        """An answer of headers alone."""
        status = (("grpc-status", str(code)), ("grpc-message", text), *fields)
        return self.headers(stream_id, (":status", "200"), ("content-type", "application/grpc"), *status, end=True)


def frames_of(stream: bytes) -> Iterable[Frame]:
    """What somebody sent, with or without the preface."""
    stream = stream.removeprefix(PREFACE)
    while stream:
        frame, length = Frame.parse_frame_header(memoryview(stream[:9]))
        frame.parse_body(memoryview(stream[9 : 9 + length]))
        yield frame
        stream = stream[9 + length :]
