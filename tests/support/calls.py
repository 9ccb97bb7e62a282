"""What the tests of calls share: a small service, ways to reach it by each protocol, and a ttRPC peer by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
import trio
import trio.testing

from transports.errors import TransportError
from transports.grpc.client import GrpcClient
from transports.grpc.server import GrpcServer
from transports.ttrpc.client import TtrpcClient
from transports.ttrpc.codec import REQUEST, FrameDecoder, decode_response, encode_frame, encode_method, encode_request
from transports.ttrpc.server import TtrpcServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from transports.base import Dialer
    from transports.calls.client import CallClient
    from transports.calls.server import CallContext, CallServer, Handler

Errors = list[tuple[str, str, Exception]]


def memory_dialer(server: CallServer, nursery: trio.Nursery) -> Dialer:
    """Dials `server` over a pair of streams in memory; each connection is served in the nursery."""

    async def dial() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        near, far = trio.testing.memory_stream_pair()
        nursery.start_soon(server.serve_stream, far)
        return near

    return dial


class Protocol(NamedTuple):
    """Both ends of one."""

    client: Callable[[trio.abc.Stream], CallClient]
    server: Callable[..., CallServer]


TTRPC, GRPC = Protocol(TtrpcClient, TtrpcServer), Protocol(GrpcClient, GrpcServer)
PROTOCOLS = {"ttrpc": TTRPC, "grpc": GRPC}


async def echo(payload: bytes, _: CallContext) -> bytes:
    """Answer what was sent."""
    await trio.lowlevel.checkpoint()
    return payload


async def never(_payload: bytes, _context: CallContext) -> bytes:
    """Wait for ever."""
    await trio.sleep_forever()
    raise AssertionError


async def sleep(payload: bytes, _: CallContext) -> bytes:
    """Answer what was sent after so many milliseconds of the clock."""
    await trio.sleep(int(payload) / 1000)
    return payload


def server_of(
    errors: Errors | None = None, *, protocol: Protocol | None = None, max_calls: int = 1024, **extra: Handler
) -> CallServer:
    """Serves Echo, Never, Sleep (milliseconds, as text) and `extra` as methods of t.S; bugs go to `errors`."""
    methods: dict[str, Handler] = {"Echo": echo, "Never": never, "Sleep": sleep, **extra}

    def on_error(service: str, method: str, error: Exception) -> None:
        if errors is not None:
            errors.append((service, method, error))

    handlers = {("t.S", name): handler for name, handler in methods.items()}
    return (protocol or TTRPC).server(handlers, on_error=on_error, max_calls=max_calls)


async def connect(nursery: trio.Nursery, server: CallServer) -> CallClient:
    """A client of `server` over memory streams, which speaks as it does."""
    near, far = trio.testing.memory_stream_pair()
    nursery.start_soon(server.serve_stream, far)
    return await client_on(nursery, near, GRPC if isinstance(server, GrpcServer) else TTRPC)


async def client_on(nursery: trio.Nursery, stream: trio.abc.Stream, protocol: Protocol | None = None) -> CallClient:
    """A running client of `stream`."""
    client = (protocol or TTRPC).client(stream)
    await nursery.start(client.run)
    return client


def request(stream_id: int, method: str, payload: bytes = b"", nanos: int = 0) -> bytes:
    """The frame of a call of t.S."""
    return encode_frame(REQUEST, stream_id, encode_request(encode_method("t.S", method), payload, nanos))


async def responses(stream: trio.abc.Stream, count: int) -> list[tuple[int, int, str, bytes]]:
    """(stream id, code, message, payload) of the next `count` responses."""
    decoder = FrameDecoder()
    found: list[tuple[int, int, str, bytes]] = []
    while len(found) < count:
        data = await stream.receive_some()
        assert data, "the server closed"
        for frame in decoder.feed(bytes(data)):
            response = decode_response(frame.buffer, frame.start, frame.end)
            found.append((frame.stream_id, response.code, response.message, response.payload))
    return found


async def failure_of(call: Callable[[], Awaitable[bytes]]) -> TransportError:
    """What `call` raises."""
    with pytest.raises(TransportError) as caught:
        await call()
    return caught.value
