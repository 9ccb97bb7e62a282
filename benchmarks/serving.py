"""What figures ask in a second process: `python -m benchmarks.serving KIND ADDRESS`; writes a line when it serves."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

import pynng
import trio

from actors.errors import CallerCancelled
from actors.mailbox import Inbox, Request, Server
from benchmarks.mailbox import ARGS, IN_FLIGHT, REPLY, echo
from transports.nng import NngTransport

# what the stream's actor pushes at once
BLOCK = 1024 * 1024


async def serve_server(address: str) -> None:
    """A server with an actor that echoes."""
    server = Server()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        await nursery.start(NngTransport().serve, address, server.accept)
        nursery.start_soon(echo, server.register("echo"))
        print("ready", flush=True)


async def serve_endless(address: str) -> None:
    """A server with an actor that echoes, and streams without end to whoever opens one."""
    server = Server()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        await nursery.start(NngTransport().serve, address, server.accept)
        inbox = server.register("echo")
        print("ready", flush=True)
        while True:
            request = await inbox.receive()
            if request.is_stream:
                nursery.start_soon(_push, request)
            else:
                request.answer(ARGS)


async def _push(request: Request) -> None:
    with suppress(CallerCancelled):
        while True:
            await request.push(bytes(10_000), offset=0)


async def serve_holding(address: str) -> None:
    """A server with an actor that echoes, and never answers what is to be held."""
    server = Server()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        await nursery.start(NngTransport().serve, address, server.accept)
        inbox = server.register("echo")
        print("ready", flush=True)
        while True:
            request = await inbox.receive()
            if request.verb == "echo":
                request.answer(ARGS)


async def serve_contexts(address: str) -> None:
    """pynng's own REP socket, a context for each ask in flight."""

    async def answer(socket: Any) -> None:
        with socket.new_context() as context:
            while True:
                await context.arecv()
                await context.asend(REPLY)

    with pynng.Rep0(listen=address) as socket:
        async with trio.open_nursery() as nursery:
            for _ in range(IN_FLIGHT):
                nursery.start_soon(answer, socket)
            print("ready", flush=True)


async def serve_streamer(address: str) -> None:
    """A server with an actor that pushes as many bytes as it is asked for."""
    server = Server()
    block = bytes(BLOCK)

    async def push(inbox: Inbox) -> None:
        while True:
            request = await inbox.receive()
            size = request.decode(dict[str, int])["size"]
            for offset in range(0, size, BLOCK):
                await request.push(block[: size - offset], offset=offset)
            request.answer()

    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        await nursery.start(NngTransport().serve, address, server.accept)
        nursery.start_soon(push, server.register("stream"))
        print("ready", flush=True)


async def serve_bytes(path: str) -> None:
    """Zeros without end to each who connects to a unix socket."""

    async def send(stream: trio.SocketStream) -> None:
        block = bytes(BLOCK)
        with suppress(trio.BrokenResourceError):
            while True:
                await stream.send_all(block)

    with trio.socket.socket(trio.socket.AF_UNIX) as listening:
        await listening.bind(path)
        listening.listen()
        print("ready", flush=True)
        await trio.serve_listeners(send, [trio.SocketListener(listening)])


KINDS = {
    "server": serve_server,
    "endless": serve_endless,
    "holding": serve_holding,
    "reply-contexts": serve_contexts,
    "streamer": serve_streamer,
    "bytes": serve_bytes,
}

if __name__ == "__main__":
    trio.run(KINDS[sys.argv[1]], sys.argv[2])
