"""The other process of a mailbox link, for tests that kill, stop or restart it.

Usage: `python -m tests.support.request_program ROLE ADDRESS [COUNT]`; prints `ready` (or its figures), then does as the
role says until it is ended.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

import trio

from actors.mailbox import Client, Request, Server, open_client
from transports.nng import NngTransport
from transports.nng.sockets import RawRep, RawReq

# what `million` streams
MILLION = bytes(range(250)) * 4_000

_LEFT_BEHIND: list[object] = []


async def server(address: str, _count: int) -> None:
    """Serves `box`: `echo` and `tally` are answered, anything else never is; the stream `million` ends, others don't."""
    served = Server()
    ran = 0
    async with trio.open_nursery() as nursery:
        await nursery.start(served.run)
        inbox = served.register("box")
        await nursery.start(NngTransport().serve, address, served.accept)
        print("ready", flush=True)
        while True:
            request = await inbox.receive()
            ran += 1
            if request.is_stream:
                nursery.start_soon(_push_million if request.verb == "million" else _push, request)
            elif request.verb in {"echo", "tally"}:
                request.answer({"ran": ran})


async def _push(request: Request) -> None:
    offset = 0
    while True:
        await request.push(bytes(10_000), offset=offset)
        offset += 10_000


async def _push_million(request: Request) -> None:
    for offset in range(0, len(MILLION), 10_000):
        await request.push(MILLION[offset : offset + 10_000], offset=offset)
    request.answer({})


async def reader(address: str, count: int) -> None:
    """Reads `million` to its end while it asks `count` times; prints what it got and how long asks took."""
    async with open_client(NngTransport(), address, client_id=f"reader-{os.getpid()}", epoch=1) as client:
        got: list[bytes] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read_million, client, got)
            taken: list[float] = []
            for _ in range(count):
                began = trio.current_time()
                await client.ask("box", "echo", {}, dict)
                taken.append(trio.current_time() - began)
    taken.sort()
    seen = {"whole": b"".join(got) == MILLION, "asks": count, "p50": taken[count // 2], "p99": taken[count * 99 // 100]}
    print(json.dumps(seen), flush=True)


async def _read_million(client: Client, got: list[bytes]) -> None:
    async with client.open_stream("box", "million", {}) as stream:
        got.extend([part.data async for part in stream])


async def late_reader(address: str, _count: int) -> None:
    """Opens `million` and takes nothing of it until its standard input ends."""
    async with (
        open_client(NngTransport(), address, client_id="late", epoch=1) as client,
        client.open_stream("box", "million", {}) as stream,
    ):
        print("ready", flush=True)
        await trio.to_thread.run_sync(sys.stdin.buffer.read)
        got = [part.data async for part in stream]
    print(json.dumps({"whole": b"".join(got) == MILLION}), flush=True)


async def client_id(address: str, count: int) -> None:
    """Keeps `count` asks and ten streams open that nobody answers."""
    async with (
        open_client(NngTransport(), address, client_id="child", epoch=1) as client,
        trio.open_nursery() as asking,
    ):
        for _ in range(count):
            asking.start_soon(_hold, client)
        for _ in range(10):
            asking.start_soon(_read, client)
        print("ready", flush=True)


async def _hold(client: Client) -> None:
    await client.ask("box", "hold", {}, dict, timeout=None)


async def _read(client: Client) -> None:
    async with client.open_stream("box", "read", {}) as stream:
        async for _ in stream:
            pass


async def crowd(address: str, count: int) -> None:
    """`count` clients, each with a link of its own, that asked once."""
    # four descriptors each
    allow_descriptors(8 * count)
    async with trio.open_nursery() as nursery:
        joined = trio.Semaphore(0)
        # a machine may take longer for all at once than one dial may
        doors = trio.Semaphore(50)
        for number in range(count):
            await doors.acquire()
            nursery.start_soon(_member, address, number, joined, doors)
        for _ in range(count):
            await joined.acquire()
        print("ready", flush=True)


async def _member(address: str, number: int, joined: trio.Semaphore, doors: trio.Semaphore) -> None:
    async with open_client(NngTransport(), address, client_id=f"member-{number}", epoch=1) as client:
        await client.ask("box", "echo", {}, dict)
        joined.release()
        doors.release()
        await trio.sleep_forever()


async def names(address: str, count: int) -> None:
    """A server with `count` mailboxes that are all asked once; prints its descriptors and what each mailbox took."""
    served = Server()
    before = _resident_bytes()
    async with trio.open_nursery() as nursery:
        await nursery.start(served.run)
        for number in range(count):
            served.register(f"box-{number}")
        await nursery.start(NngTransport().serve, address, served.accept)
        async with open_client(NngTransport(), address, client_id="c", epoch=1) as client:
            for number in (0, count // 2, count - 1):
                with trio.move_on_after(0.05):
                    await client.ask(f"box-{number}", "hold", {}, dict)
            print(len(os.listdir("/proc/self/fd")), _resident_bytes() - before, flush=True)
        nursery.cancel_scope.cancel()


def allow_descriptors(count: int) -> None:
    """Raise this process's own limit, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count, hard)), hard))


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def leave(address: str, _count: int) -> None:
    """Ends with sockets that nobody closed, whose peers go while nothing of Trio's runs any more."""
    listening, dialling = RawRep(), RawReq()
    listening.listen(address)
    dialling.dial(address)
    _LEFT_BEHIND.extend((listening, dialling))
    print("ready", flush=True)


ROLES = {
    "server": server,
    "client": client_id,
    "reader": reader,
    "late_reader": late_reader,
    "crowd": crowd,
    "names": names,
    "leave": leave,
}

if __name__ == "__main__":
    trio.run(ROLES[sys.argv[1]], sys.argv[2], int((sys.argv[3:] or ["1"])[0]))
