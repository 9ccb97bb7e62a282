"""What an ask costs: its round trip over nng and over memory, and many at once, each against the bare transport.

Ours is all of it: envelope, credit, at most once, deadline, the actor's inbox. nng's floor is its own blocking
sockets on two threads with the bytes of our envelopes; memory's is a pair of Trio's channels.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pynng
import trio

from actors.mailbox import Inbox, Server, open_client
from actors.wire.codec import encode, encode_raw
from actors.wire.envelope import Ask, Reply
from benchmarks.figure import Comparison, Effort, Figure, Goal, Measured, take_turns
from benchmarks.processes import open_process
from transports.memory import MemoryTransport
from transports.nng import NngTransport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.mailbox import Client
    from transports.base import Transport

__all__ = ["ARGS", "ask_round_trips", "echo", "open_linked"]

ROUNDS = 9
ROUND_TRIPS = 600
PIPELINED = 4_000
IN_FLIGHT = 64
ARGS = {"data": bytes(64)}
REQUEST = encode(Ask(1, "echo", "echo", encode_raw(ARGS), 60_000, 1))
REPLY = encode(Reply(1, encode_raw(ARGS)))


@asynccontextmanager
async def open_linked(transport: Transport, address: str) -> AsyncGenerator[Client]:
    """A client of a server that echoes, in this very process. Hides a nursery."""
    server = Server()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        await nursery.start(transport.serve, address, server.accept)
        nursery.start_soon(echo, server.register("echo"))
        async with open_client(transport, address, client_id="bench", epoch=1) as client:
            yield client
        nursery.cancel_scope.cancel()


async def echo(inbox: Inbox) -> None:
    """An actor that answers everything with the same."""
    while True:
        (await inbox.receive()).answer(ARGS)


async def ask_round_trips(client: Client, times: int) -> float:
    """The median round trip of `times` asks, in us."""
    taken: list[float] = []
    for _ in range(times):
        began = perf_counter()
        await client.ask("echo", "echo", ARGS, dict)
        taken.append(perf_counter() - began)
    return statistics.median(taken) * 1e6


async def _inproc(effort: Effort) -> Measured:
    return await _nng_round_trips(effort, "inproc://bench-ours", "inproc://bench-bare")


async def _ipc(effort: Effort) -> Measured:
    with tempfile.TemporaryDirectory() as directory:
        return await _nng_round_trips(effort, f"ipc://{directory}/ours", f"ipc://{directory}/bare")


async def _nng_round_trips(effort: Effort, ours_at: str, bare_at: str) -> Measured:
    times = effort.times(ROUND_TRIPS)
    bare_async: Any
    answering: Any

    async def blocking_turn() -> float:
        return await trio.to_thread.run_sync(_blocking_round_trips, bare_at, times)

    async with open_linked(NngTransport(), ours_at) as client:
        with pynng.Pair0(listen=bare_at + "-async") as answering, pynng.Pair0(dial=bare_at + "-async") as bare_async:
            ours, blocking, awaited = await take_turns(
                effort.rounds(ROUNDS),
                partial(ask_round_trips, client, times),
                blocking_turn,
                partial(_awaited_round_trips, bare_async, answering, times),
                operations=times,
            )
    return Measured(
        ours,
        [
            Comparison("pynng, blocking, two threads, same bytes", blocking, Goal(most=2.6)),
            Comparison("pynng asend/arecv on a bare pair", awaited, Goal(most=1.0)),
        ],
    )


def _blocking_round_trips(address: str, times: int) -> float:
    # pynng carries no types
    def answer(listening: Any) -> None:
        for _ in range(times):
            listening.recv()
            listening.send(REPLY)

    taken: list[float] = []
    dialled: Any
    with pynng.Pair0(listen=address) as listening, pynng.Pair0(dial=address) as dialled:
        thread = threading.Thread(target=answer, args=(listening,))
        thread.start()
        for _ in range(times):
            began = perf_counter()
            dialled.send(REQUEST)
            dialled.recv()
            taken.append(perf_counter() - began)
        thread.join()
    return statistics.median(taken) * 1e6


async def _awaited_round_trips(asking: Any, answering: Any, times: int) -> float:
    async def answer() -> None:
        for _ in range(times):
            await answering.arecv()
            await answering.asend(REPLY)

    taken: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        for _ in range(times):
            began = perf_counter()
            await asking.asend(REQUEST)
            await asking.arecv()
            taken.append(perf_counter() - began)
    return statistics.median(taken) * 1e6


async def _memory(effort: Effort) -> Measured:
    times = effort.times(ROUND_TRIPS * 2)
    async with open_linked(MemoryTransport(), "memory://bench") as client:
        ours, bare = await take_turns(
            effort.rounds(ROUNDS),
            partial(ask_round_trips, client, times),
            partial(_channel_round_trips, times),
            operations=times,
        )
    return Measured(ours, [Comparison("trio memory channels", bare, Goal(most=2.0))])


async def _channel_round_trips(times: int) -> float:
    asks, inbox = trio.open_memory_channel[bytes](1)
    outbox, replies = trio.open_memory_channel[bytes](1)

    async def answer() -> None:
        async for _ in inbox:
            await outbox.send(REPLY)

    taken: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        for _ in range(times):
            began = perf_counter()
            await asks.send(REQUEST)
            await replies.receive()
            taken.append(perf_counter() - began)
        await asks.aclose()
    return statistics.median(taken) * 1e6


async def _pipelined(effort: Effort) -> Measured:
    with tempfile.TemporaryDirectory() as directory:
        ours_at, bare_at = f"ipc://{directory}/ours", f"ipc://{directory}/bare"
        asking: Any
        async with (
            open_process("benchmarks.serving", "server", ours_at),
            open_process("benchmarks.serving", "reply-contexts", bare_at),
            open_client(NngTransport(), ours_at, client_id="bench", epoch=1) as client,
        ):
            with pynng.Req0(dial=bare_at, block_on_dial=True) as asking:
                counts = effort.times(PIPELINED), effort.times(PIPELINED // 8), effort.times(PIPELINED)
                ours, bare, floor = await take_turns(
                    effort.rounds(ROUNDS),
                    partial(_asks_per_second, client, counts[0]),
                    partial(_contexts_per_second, asking, counts[1]),
                    partial(_wakes_per_second, counts[2]),
                    operations=counts,
                )
    return Measured(
        ours,
        [
            Comparison("pynng REQ/REP contexts, asend/arecv", bare, Goal(least=10.0)),
            Comparison(f"Trio waking {IN_FLIGHT} tasks, nothing else", floor),
        ],
    )


async def _asks_per_second(client: Client, times: int) -> float:
    async def asker() -> None:
        for _ in range(times // IN_FLIGHT):
            await client.ask("echo", "echo", ARGS, dict)

    return await _rate(asker, times)


async def _contexts_per_second(socket: Any, times: int) -> float:
    async def asker() -> None:
        with socket.new_context() as context:
            for _ in range(times // IN_FLIGHT):
                await context.asend(REQUEST)
                await context.arecv()

    return await _rate(asker, times)


async def _wakes_per_second(times: int) -> float:
    """What a task for each ask costs before anything is asked: as often as each is answered, each is woken once."""
    waiting: list[trio.lowlevel.Task] = []

    async def sleeper() -> None:
        for _ in range(times // IN_FLIGHT):
            waiting.append(trio.lowlevel.current_task())
            await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)

    began = perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(IN_FLIGHT):
            nursery.start_soon(sleeper)
        for _ in range(times // IN_FLIGHT):
            while len(waiting) < IN_FLIGHT:
                await trio.lowlevel.checkpoint()
            for task in waiting:
                trio.lowlevel.reschedule(task)
            waiting.clear()
    return times // IN_FLIGHT * IN_FLIGHT / (perf_counter() - began)


async def _rate(asker: Any, times: int) -> float:
    began = perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(IN_FLIGHT):
            nursery.start_soon(asker)
    return times // IN_FLIGHT * IN_FLIGHT / (perf_counter() - began)


FIGURES = (
    Figure("ask_rtt_inproc", "p50 of an ask's round trip over inproc", "us", _inproc),
    Figure("ask_rtt_ipc", "p50 of an ask's round trip over ipc", "us", _ipc),
    Figure("ask_rtt_memory", "p50 of an ask's round trip over memory", "us", _memory),
    Figure("ask_pipelined_ipc", f"asks over ipc to another process, {IN_FLIGHT} in flight", "asks/s", _pipelined),
)
