"""A client and a server of unary calls as they run, whatever protocol carries them: tasks, deadlines and streams.

For `ttrpc_live` and `grpc`, which give the protocol, its frames, and what it may say.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import trio
import trio.testing

from tests.fuzz.target import expect, in_virtual_time
from tests.support.calls import echo, never
from transports.errors import EndpointBroken, RemoteProtocolError, RpcStatusError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.fuzz.layout import Frames
    from transports.calls.client import CallClient
    from transports.calls.server import CallContext, CallServer, Handler

__all__ = ["check_of_client", "check_of_server", "talk"]

_MAX_CALLS = 8


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


def check_of_client(
    client: Callable[[trio.abc.Stream], CallClient], calls: int, judge: Callable[[bytes, Frames], None]
) -> Callable[[Frames], None]:
    """Every call ends once the peer is gone, with its reply or a declared error; nothing is sent after a failure."""

    async def check(pieces: Frames) -> None:
        near, far = trio.testing.memory_stream_pair()
        calling = client(near)
        ended: list[int] = []

        async def call(number: int) -> None:
            with contextlib.suppress(RpcStatusError, EndpointBroken, RemoteProtocolError, Unreachable):
                await calling.call("t.S", "Echo", b"%d" % number)
            ended.append(number)

        async with trio.open_nursery() as nursery:
            await nursery.start(calling.run)
            for number in range(calls):
                nursery.start_soon(call, number)
            await trio.testing.wait_all_tasks_blocked()
            heard = await talk(far, pieces)
        expect(len(ended) == calls and calling.calls_in_flight == 0, f"calls {ended} of {calls} ended")
        expected = isinstance(calling.ended, (EndpointBroken, RemoteProtocolError, Unreachable))
        expect(expected, f"it ended with {calling.ended!r}")
        judge(heard, pieces)

    return in_virtual_time(check)


async def _patient(payload: bytes, _: CallContext) -> bytes:
    """Answers late, whatever it is asked."""
    await trio.sleep(len(payload))
    return payload


def check_of_server(
    server: Callable[..., CallServer],
    client: Callable[[trio.abc.Stream], CallClient],
    judge: Callable[[bytes, Frames], None],
) -> Callable[[Frames], None]:
    """A hostile client is answered and forgotten when it goes; its neighbour is served all the while."""
    handlers: Mapping[tuple[str, str], Handler] = {
        ("t.S", name): handler for name, handler in (("Echo", echo), ("Never", never), ("Sleep", _patient))
    }

    async def check(pieces: Frames) -> None:
        errors: list[str] = []

        def on_error(service: str, method: str, error: Exception) -> None:
            errors.append(f"{service}/{method}: {error!r}")

        serving = server(handlers, on_error=on_error, max_calls=_MAX_CALLS)
        async with trio.open_nursery() as nursery:
            near, far = trio.testing.memory_stream_pair()
            nursery.start_soon(serving.serve_stream, far)
            neighbour = client(near)
            await nursery.start(neighbour.run)
            near, far = trio.testing.memory_stream_pair()
            served = trio.Event()

            async def serve() -> None:
                await serving.serve_stream(far)
                served.set()

            nursery.start_soon(serve)
            judge(await talk(near, pieces), pieces)
            await served.wait()
            expect(
                await neighbour.call("t.S", "Echo", b"well?") == b"well?", "the neighbour is answered something else"
            )
            await neighbour.aclose()
            nursery.cancel_scope.cancel()
        expect(not errors, f"a handler failed: {errors}")

    return in_virtual_time(check)
