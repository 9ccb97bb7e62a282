"""What ttRPC costs: a call's round trip against the bare stream's, and calls per second 16-way.

The servers are processes of their own: `python -m benchmarks.ttrpc bare|ttrpc PATH`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

import trio

from benchmarks.calling import CALLERS, METHOD, PAYLOAD, SERVICE, call_round_trip, calls_per_second
from benchmarks.figure import Comparison, Effort, Figure, Goal, Measured, take_turns
from benchmarks.processes import open_process
from benchmarks.processor import process_seconds
from transports.stream import dial_with_backoff, serve_unix, unix_dialer
from transports.ttrpc.client import TtrpcClient
from transports.ttrpc.codec import HEADER_BYTES, encode_method, encode_request, encode_response
from transports.ttrpc.server import TtrpcServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from transports.calls.server import CallContext

REQUEST_BYTES = HEADER_BYTES + len(encode_request(encode_method(SERVICE, METHOD), PAYLOAD, 0))
RESPONSE_BYTES = HEADER_BYTES + len(encode_response(PAYLOAD))

ROUNDS = 5
ROUND_TRIPS = 2_000
CALLS = 20_000


async def _round_trip(effort: Effort) -> Measured:
    times = effort.times(ROUND_TRIPS)
    # stock Trio: the floor is what a user would have without us
    async with _open_both() as (bare_path, client, _), await trio.open_unix_socket(bare_path) as stream:
        ours, bare = await take_turns(
            effort.rounds(ROUNDS),
            partial(call_round_trip, client, times),
            partial(_bare_round_trip, stream, times),
            operations=times,
        )
    return Measured(ours, [Comparison("bare trio stream, same bytes", bare, Goal(most=2.0))])


async def _sixteen_way(effort: Effort) -> Measured:
    calls = effort.times(CALLS)
    async with _open_both() as (bare_path, client, served):
        # by server: processor time of a call in each round, in us
        taken: tuple[list[float], list[float]] = [], []

        async def turn(side: int, calls_of: Callable[[int], Awaitable[float]]) -> float:
            before = process_seconds(served[side].pid)
            rate = await calls_of(calls)
            taken[side].append((process_seconds(served[side].pid) - before) / calls * 1e6)
            return rate

        ours, bare = await take_turns(
            effort.rounds(ROUNDS),
            partial(turn, 0, partial(calls_per_second, client)),
            partial(turn, 1, partial(_bare_exchanges_per_second, bare_path)),
            operations=calls,
        )
    server, beside = map(statistics.median, taken)
    notes = {"of it the server's": f"{server:.1f} us, beside {beside:.1f} us"}
    return Measured(ours, [Comparison("16 bare trio streams, same bytes", bare, Goal(least=1.6))], notes)


@asynccontextmanager
async def _open_both() -> AsyncGenerator[tuple[str, TtrpcClient, tuple[trio.Process, trio.Process]]]:
    """The path of a bare server, a client of ours, and the processes of our server and of the bare one. Hides a nursery."""
    with tempfile.TemporaryDirectory() as directory:
        bare_path, ttrpc_path = f"{directory}/bare.sock", f"{directory}/ttrpc.sock"
        async with (
            open_process("benchmarks.ttrpc", "bare", bare_path) as bare,
            open_process("benchmarks.ttrpc", "ttrpc", ttrpc_path) as ours,
            trio.open_nursery() as nursery,
        ):
            client = TtrpcClient(await dial_with_backoff(unix_dialer(ttrpc_path), seconds=10))
            await nursery.start(client.run)
            yield bare_path, client, (ours, bare)
            await client.aclose()


async def _bare_round_trip(stream: trio.abc.Stream, count: int) -> float:
    request = bytes(REQUEST_BYTES)
    times: list[float] = []
    for _ in range(count):
        began = perf_counter()
        await stream.send_all(request)
        await _receive_exactly(stream, RESPONSE_BYTES)
        times.append(perf_counter() - began)
    return statistics.median(times) * 1e6


async def _bare_exchanges_per_second(path: str, count: int) -> float:
    request = bytes(REQUEST_BYTES)

    async def caller(stream: trio.abc.Stream) -> None:
        async with stream:
            for _ in range(count // CALLERS):
                await stream.send_all(request)
                await _receive_exactly(stream, RESPONSE_BYTES)

    streams = [await trio.open_unix_socket(path) for _ in range(CALLERS)]
    began = perf_counter()
    async with trio.open_nursery() as nursery:
        for stream in streams:
            nursery.start_soon(caller, stream)
    return count / (perf_counter() - began)


async def _receive_exactly(stream: trio.abc.Stream, count: int) -> None:
    while count:
        data = await stream.receive_some(count)
        if not data:
            raise EOFError("the other process closed the stream")
        count -= len(data)


async def _serve_bare(path: str) -> None:
    response = bytes(RESPONSE_BYTES)

    async def serve(stream: trio.SocketStream) -> None:
        while True:
            try:
                await _receive_exactly(stream, REQUEST_BYTES)
            except EOFError:
                return
            await stream.send_all(response)

    with trio.socket.socket(trio.socket.AF_UNIX) as listening:
        await listening.bind(path)
        listening.listen()
        print("ready", flush=True)
        await trio.serve_listeners(serve, [trio.SocketListener(listening)])


async def _serve_ttrpc(path: str) -> None:
    async def echo(payload: bytes, _: CallContext) -> bytes:
        return payload

    def report(service: str, method: str, error: Exception) -> None:
        print(f"{service}/{method}: {error!r}", file=sys.stderr)

    server = TtrpcServer({(SERVICE, METHOD): echo}, on_error=report)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_unix, path, server.serve_stream)
        print("ready", flush=True)


FIGURES = (
    Figure("ttrpc_rtt", "p50 of a call's round trip over a unix socket", "us", _round_trip),
    Figure(
        "ttrpc_16way",
        "calls with 16 in flight on one connection",
        "calls/s",
        _sixteen_way,
    ),
)

if __name__ == "__main__":
    trio.run({"bare": _serve_bare, "ttrpc": _serve_ttrpc}[sys.argv[1]], sys.argv[2])
