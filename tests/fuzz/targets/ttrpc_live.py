"""ttRPC's client and server as they run, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz.target import Target, expect
from tests.fuzz.targets.calls_live import check_of_client, check_of_server
from tests.fuzz.targets.ttrpc import FRAMES, OPEN_CALLS, replies
from tests.support.calls import request
from transports.ttrpc.client import TtrpcClient
from transports.ttrpc.codec import FrameDecoder
from transports.ttrpc.server import TtrpcServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fuzz.layout import Frames

__all__ = ["TARGETS"]


def _calls() -> Sequence[Frames]:
    methods = ("Echo", "Sleep", "Never", "Echo", "None", "Echo")
    plain = tuple(request(2 * at + 1, method, b"12") for at, method in enumerate(methods))
    timed = tuple(request(2 * at + 1, method, b"5000", 10**9) for at, method in enumerate(methods))
    return [plain, timed, tuple(request(2 * at + 1, "Never") for at in range(12))]


def _calls_alone(heard: bytes, _: Frames) -> None:
    decoder = FrameDecoder()
    expect(len(decoder.feed(heard)) == OPEN_CALLS and not decoder.in_frame, "it sent something but its calls")


def _answers_alone(heard: bytes, pieces: Frames) -> None:
    decoder = FrameDecoder()
    asked = len(FrameDecoder().feed(b"".join(pieces)))
    expect(
        len(decoder.feed(heard)) <= asked and not decoder.in_frame, "it said more than it was asked, or half a frame"
    )


TARGETS = (
    Target(
        "ttrpc-client-live",
        "a client with calls in flight",
        FRAMES,
        replies,
        check_of_client(TtrpcClient, OPEN_CALLS, _calls_alone),
        share=2,
        calls=(30_000, 400),
    ),
    Target(
        "ttrpc-server-live",
        "a server with a neighbour",
        FRAMES,
        _calls,
        check_of_server(TtrpcServer, TtrpcClient, _answers_alone),
        share=2,
        calls=(60_000, 400),
    ),
)
