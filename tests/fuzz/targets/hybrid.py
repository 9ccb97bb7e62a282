"""The handshake of hybrid vsock: both sides, without I/O. What follows the line is somebody else's, to the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz.layout import Body, Frames, Layout
from tests.fuzz.target import Target, expect
from transports.errors import RemoteProtocolError, Unreachable
from transports.hybrid.handshake import LINE_BYTES, DialHandshake, ListenHandshake

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["TARGETS"]

LINES = Layout(
    Body.TEXT,
    tokens=(
        b"\n", b"\r", b"\r\n", b" ", b"\t", b"\0", b"OK", b"ok", b"CONNECT", b"connect ", b"0", b"-1", b"4294967295",
        b"4294967296", b"9" * 11, b"9" * 40, b"\xd9\xa3", b"PRI * HTTP/2.0\r\n",
    ),
)  # fmt: skip


def _answers() -> Sequence[Frames]:
    return [(line, b"\0\0\0\0raw") for line in (b"OK 1073741824\n", b"ok\n", b"OK 5\r\n", b"OK  7 \n")]


def _asks() -> Sequence[Frames]:
    return [(line, b"\0\0\0\0raw") for line in (b"CONNECT 1024\n", b"connect 0\n", b"CONNECT 4294967295\r\n")]


def _check_dial(pieces: Frames) -> None:
    """It is done with the first line's end and never before, or says why not."""
    handshake = DialHandshake(1024)

    def feed(byte: bytes) -> bool:
        handshake.receive_byte(byte)
        return handshake.done

    taken = _taken(pieces, feed)
    if taken is not None:
        line = b"".join(pieces)[:taken]
        expect(line[:2].lower() == b"ok", f"it takes {line!r} for OK")
        number = line[2:].strip()
        expect(
            handshake.local_port == (int(number) if number else None), f"it reads {handshake.local_port} in {line!r}"
        )


def _check_listen(pieces: Frames) -> None:
    """The port is one, and stands in the line."""
    handshake = ListenHandshake()
    ports: list[int] = []

    def feed(byte: bytes) -> bool:
        port = handshake.receive_byte(byte)
        if port is not None:
            ports.append(port)
        return port is not None

    taken = _taken(pieces, feed)
    if taken is not None:
        line = b"".join(pieces)[:taken]
        expect(0 <= ports[0] < 2**32 and int(line.split()[1]) == ports[0], f"it reads {ports} in {line!r}")


def _taken(pieces: Frames, feed: Callable[[bytes], bool]) -> int | None:
    """How many bytes the handshake took; None when it refused, or wants more."""
    stream = b"".join(pieces)
    for at in range(len(stream)):
        expect(at <= LINE_BYTES, f"it reads more than {LINE_BYTES} bytes of a line")
        try:
            done = feed(stream[at : at + 1])
        except RemoteProtocolError:
            return None
        if done:
            expect(stream.index(b"\n") == at, "it is done elsewhere than at the line's end")
            return at + 1
    try:
        done = feed(b"")
    except (Unreachable, RemoteProtocolError):
        return None
    expect(not done, "the stream's end is taken for the line's")
    return None


TARGETS = (
    Target("hybrid-dial", "the host's side of a hybrid vsock's handshake", LINES, _answers, _check_dial, share=2),
    Target("hybrid-listen", "the VMM's side", LINES, _asks, _check_listen, share=2),
)
