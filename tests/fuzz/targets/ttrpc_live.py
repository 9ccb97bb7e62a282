"""ttRPC's client and server as they run: tasks, deadlines and streams, in virtual time."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import trio
import trio.testing

from tests.fuzz.target import Target, expect, in_virtual_time
from tests.fuzz.targets.ttrpc import FRAMES, OPEN_CALLS, replies
from tests.support.ttrpc import Errors, connect, request, server_of
from transports.errors import EndpointBroken, RemoteProtocolError, RpcStatusError
from transports.ttrpc.client import TtrpcClient
from transports.ttrpc.codec import FrameDecoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fuzz.layout import Frames
    from transports.calls.server import CallContext

__all__ = ["TARGETS", "talk"]


async def talk(stream: trio.abc.Stream, pieces: Frames) -> bytes:
    """Say all of it, hang up, and return what came back."""
    heard = bytearray()

    async def listen() -> None:
        try:
            while data := await stream.receive_some():
                heard.extend(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        try:
            for piece in pieces:
                await stream.send_all(piece)
                await trio.lowlevel.checkpoint()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        await trio.testing.wait_all_tasks_blocked()
        await stream.aclose()
    return bytes(heard)


async def _check_client(pieces: Frames) -> None:
    """Every call ends once the peer is gone, with its reply or a declared error; nothing is sent after a failure."""
    near, far = trio.testing.memory_stream_pair()
    client = TtrpcClient(near)
    ended: list[int] = []

    async def call(number: int) -> None:
        with contextlib.suppress(RpcStatusError, EndpointBroken, RemoteProtocolError):
            await client.call("t.S", "Echo", b"%d" % number)
        ended.append(number)

    async with trio.open_nursery() as nursery:
        await nursery.start(client.run)
        for number in range(OPEN_CALLS):
            nursery.start_soon(call, number)
        await trio.testing.wait_all_tasks_blocked()
        heard = await talk(far, pieces)
    expect(len(ended) == OPEN_CALLS and client.calls_in_flight == 0, f"calls {ended} of {OPEN_CALLS} ended")
    expect(isinstance(client.ended, (EndpointBroken, RemoteProtocolError)), f"it ended with {client.ended!r}")
    decoder = FrameDecoder()
    expect(len(decoder.feed(heard)) == OPEN_CALLS and not decoder.in_frame, "it sent something but its calls")


async def _patient(payload: bytes, _: CallContext) -> bytes:
    """Answers late, whatever it is asked."""
    await trio.sleep(len(payload))
    return payload


async def _check_server(pieces: Frames) -> None:
    """A hostile client is answered in frames and forgotten when it goes; its neighbour is served all the while."""
    errors: Errors = []
    server = server_of(errors, max_calls=8, Sleep=_patient)
    async with trio.open_nursery() as nursery:
        neighbour = await connect(nursery, server)
        near, far = trio.testing.memory_stream_pair()
        served = trio.Event()

        async def serve() -> None:
            await server.serve_stream(far)
            served.set()

        nursery.start_soon(serve)
        heard = await talk(near, pieces)
        decoder = FrameDecoder()
        expect(
            len(decoder.feed(heard)) <= len(FrameDecoder().feed(b"".join(pieces))) and not decoder.in_frame,
            "it said more than it was asked, or half a frame",
        )
        await served.wait()
        expect(await neighbour.call("t.S", "Echo", b"well?") == b"well?", "the neighbour is answered something else")
        await neighbour.aclose()
        nursery.cancel_scope.cancel()
    expect(not errors, f"a handler failed: {errors}")


def _calls() -> Sequence[Frames]:
    methods = ("Echo", "Sleep", "Never", "Echo", "None", "Echo")
    plain = tuple(request(2 * at + 1, method, b"12") for at, method in enumerate(methods))
    timed = tuple(request(2 * at + 1, method, b"5000", 10**9) for at, method in enumerate(methods))
    return [plain, timed, tuple(request(2 * at + 1, "Never") for at in range(12))]


TARGETS = (
    Target(
        "ttrpc-client-live",
        "a client with calls in flight",
        FRAMES,
        replies,
        in_virtual_time(_check_client),
        share=2,
        calls=(30_000, 400),
    ),
    Target(
        "ttrpc-server-live",
        "a server with a neighbour",
        FRAMES,
        _calls,
        in_virtual_time(_check_server),
        share=2,
        calls=(60_000, 400),
    ),
)
