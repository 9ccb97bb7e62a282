"""What figures ask in a second process: `python -m benchmarks.serving KIND ADDRESS`; writes a line when it serves."""

from __future__ import annotations

import sys
from typing import Any

import pynng
import trio

from actors.mailbox import Hub
from benchmarks.mailbox import IN_FLIGHT, REPLY, echo
from transports.nng import NngTransport


async def serve_hub(address: str) -> None:
    """A hub with an actor that echoes."""
    hub = Hub()
    async with trio.open_nursery() as nursery:
        await nursery.start(hub.run)
        await nursery.start(NngTransport().serve, address, hub.accept)
        nursery.start_soon(echo, hub.register("echo"))
        print("ready", flush=True)


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


KINDS = {"hub": serve_hub, "reply-contexts": serve_contexts}

if __name__ == "__main__":
    trio.run(KINDS[sys.argv[1]], sys.argv[2])
