"""Who speaks at an address, by its first bytes: every protocol's own, spoiled, are somebody's or nobody's, and never an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz.layout import Body, Frames, Layout
from tests.fuzz.target import Target, expect
from tests.fuzz.targets.hyperstart import answers, outputs
from tests.fuzz.targets.ttrpc import replies
from transports.recognise import Peer, advice, recognise
from transports.yamux.codec import Flag, Kind, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TARGETS"]


def _first_bytes() -> Sequence[Frames]:
    settings = b"\0\0\x06\4\0\0\0\0\0\0\3\0\0\0\x64"
    pong = encode(Kind.PING, Flag.ACK, 0, 1)
    others = (settings, pong, b"OK 1073741824\n", b"HTTP/1.1 400 Bad Request\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"")
    return [others, *(session[:2] for session in (*replies()[:4], *answers(), *outputs()))]


def _check(pieces: Frames) -> None:
    for piece in pieces:
        found = recognise(piece)
        for expected in Peer:
            taken = recognise(piece, expected=expected)
            expect(taken in {found, expected}, f"expecting {expected} makes {found} another: {taken}")
            if taken is not None and taken is not expected:
                expect(advice(taken, expected), "nobody is told what to do")


TARGETS = (
    Target(
        "first-bytes", "who speaks, by its first bytes", Layout(Body.BYTES), _first_bytes, _check, stream=False, share=2
    ),
)
