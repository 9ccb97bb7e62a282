"""What an ask costs: its round trip over nng and over memory, each against a bare exchange of as many bytes.

For `scripts/bench`, which merges `measure()`. Hub and courier share one process and one Trio run; nng's floor is
its own blocking sockets on two threads, memory's is a pair of Trio's channels. Rounds alternate and the median
counts, because a shared machine's speed wanders. Not a test: nothing is asserted.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
from contextlib import asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pynng
import trio

from actors.mailbox import Hub, Inbox, open_courier
from actors.wire.codec import encode, encode_raw
from actors.wire.envelope import Ask, Reply
from transports.memory import MemoryTransport
from transports.nng import NngTransport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.mailbox import Courier
    from transports.base import Transport

ROUNDS = 5
ROUND_TRIPS = 1_000
ARGS = {"data": bytes(64)}
REQUEST = encode(Ask(1, "echo", "echo", encode_raw(ARGS), 60_000, 1))
REPLY = encode(Reply(1, encode_raw(ARGS)))


async def measure() -> dict[str, dict[str, Any]]:
    """Run all figures; name -> {value, unit, against, ratio} (ratio: ours over `against`)."""
    with tempfile.TemporaryDirectory() as directory:
        figures = {
            "ask_rtt_inproc": await _nng("inproc://bench-ours", "inproc://bench-bare"),
            "ask_rtt_ipc": await _nng(f"ipc://{directory}/ours", f"ipc://{directory}/bare"),
            "ask_rtt_memory": await _memory(),
        }
    return figures


async def _nng(ours_address: str, bare_address: str) -> dict[str, Any]:
    ours: list[float] = []
    bare: list[float] = []
    async with _linked(NngTransport(), ours_address) as courier:
        for _ in range(ROUNDS):
            ours.append(await _ask_round_trip(courier))
            bare.append(await trio.to_thread.run_sync(_blocking_round_trip, bare_address))
    return _figure(ours, bare, "pynng, blocking, two threads, same bytes")


async def _memory() -> dict[str, Any]:
    ours: list[float] = []
    bare: list[float] = []
    async with _linked(MemoryTransport(), "memory://bench") as courier:
        for _ in range(ROUNDS):
            ours.append(await _ask_round_trip(courier))
            bare.append(await _channel_round_trip())
    return _figure(ours, bare, "trio memory channels")


def _figure(ours: list[float], bare: list[float], name: str) -> dict[str, Any]:
    value, floor = statistics.median(ours), statistics.median(bare)
    return {
        "value": round(value, 1),
        "unit": "us",
        "against": {"name": name, "value": round(floor, 1)},
        "ratio": round(value / floor, 2),
    }


@asynccontextmanager
async def _linked(transport: Transport, address: str) -> AsyncGenerator[Courier]:
    """A courier of a hub that echoes. Hides a nursery."""
    hub = Hub()
    async with trio.open_nursery() as nursery:
        await nursery.start(hub.run)
        await nursery.start(transport.serve, address, hub.accept)
        nursery.start_soon(_echo, hub.register("echo"))
        async with open_courier(transport, address, client="bench", epoch=1) as courier:
            yield courier
        nursery.cancel_scope.cancel()


async def _echo(inbox: Inbox) -> None:
    while True:
        (await inbox.receive()).answer(ARGS)


async def _ask_round_trip(courier: Courier) -> float:
    times: list[float] = []
    for _ in range(ROUND_TRIPS):
        began = perf_counter()
        await courier.ask("echo", "echo", ARGS, dict)
        times.append(perf_counter() - began)
    return statistics.median(times) * 1e6


def _blocking_round_trip(address: str) -> float:
    # pynng carries no types
    def answer(listening: Any) -> None:
        for _ in range(ROUND_TRIPS):
            listening.recv()
            listening.send(REPLY)

    times: list[float] = []
    dialled: Any
    with pynng.Pair0(listen=address) as listening, pynng.Pair0(dial=address) as dialled:
        thread = threading.Thread(target=answer, args=(listening,))
        thread.start()
        for _ in range(ROUND_TRIPS):
            began = perf_counter()
            dialled.send(REQUEST)
            dialled.recv()
            times.append(perf_counter() - began)
        thread.join()
    return statistics.median(times) * 1e6


async def _channel_round_trip() -> float:
    asks, inbox = trio.open_memory_channel[bytes](1)
    outbox, replies = trio.open_memory_channel[bytes](1)

    async def answer() -> None:
        async for _ in inbox:
            await outbox.send(REPLY)

    times: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        for _ in range(ROUND_TRIPS):
            began = perf_counter()
            await asks.send(REQUEST)
            await replies.receive()
            times.append(perf_counter() - began)
        await asks.aclose()
    return statistics.median(times) * 1e6


if __name__ == "__main__":
    print(json.dumps(trio.run(measure), indent=2))
