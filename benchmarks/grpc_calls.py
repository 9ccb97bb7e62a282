"""What gRPC costs: a call's round trip and calls per second 16-way, ours at both ends, against grpcio at both ends.

The servers are processes of their own: `python -m benchmarks.grpc_calls ours|grpcio PATH`. Without grpcio ours is measured
alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import trio

from benchmarks.calling import CALLERS, METHOD, PAYLOAD, SERVICE, call_round_trip, calls_per_second
from benchmarks.figure import Comparison, Effort, Figure, Goal, Measured, take_turns
from benchmarks.processes import open_process
from transports.grpc.client import GrpcClient
from transports.grpc.server import GrpcServer
from transports.stream import dial_with_backoff, serve_unix, unix_dialer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from transports.calls.server import CallContext

ROUNDS = 5
ROUND_TRIPS = 1_000
CALLS = 4_000
# it is for the tests, and no part of an installation
HAS_GRPCIO = importlib.util.find_spec("grpc") is not None


async def _round_trip(effort: Effort) -> Measured:
    goal = Goal(most=1.8)
    return await _beside_grpcio(effort, effort.times(ROUND_TRIPS), call_round_trip, _blocking_round_trip, goal)


async def _sixteen_way(effort: Effort) -> Measured:
    return await _beside_grpcio(effort, effort.times(CALLS), calls_per_second, _blocking_calls_per_second, None)


async def _beside_grpcio(
    effort: Effort,
    calls: int,
    ours_of: Callable[[GrpcClient, int], Awaitable[float]],
    theirs_of: Callable[[Any, int], float],
    goal: Goal | None,
) -> Measured:
    rounds = effort.rounds(ROUNDS)
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/ours.sock"
        async with open_process("benchmarks.grpc_calls", "ours", path), trio.open_nursery() as nursery:
            client = GrpcClient(await dial_with_backoff(unix_dialer(path), seconds=10))
            await nursery.start(client.run)
            ours = partial(ours_of, client, calls)
            if not HAS_GRPCIO:
                (alone,) = await take_turns(rounds, ours, operations=calls)
                measured = Measured(alone)
            else:
                async with _open_grpcio(f"{directory}/theirs.sock") as call:
                    theirs = partial(theirs_of, call, calls)
                    seen, compared = await take_turns(
                        rounds, ours, lambda: trio.to_thread.run_sync(theirs), operations=calls
                    )
                measured = Measured(seen, [Comparison("grpcio, client and server", compared, goal)])
            await client.aclose()
    return measured


@asynccontextmanager
async def _open_grpcio(path: str) -> AsyncGenerator[Any]:
    """A blocking call of grpcio's own server in another process. Hides a nursery."""
    grpc: Any = importlib.import_module("grpc")
    async with open_process("benchmarks.grpc_calls", "grpcio", path):
        with grpc.insecure_channel(f"unix:{path}") as channel:
            yield channel.unary_unary(f"/{SERVICE}/{METHOD}")


def _blocking_round_trip(call: Any, count: int) -> float:
    times: list[float] = []
    for _ in range(count):
        began = perf_counter()
        call(PAYLOAD)
        times.append(perf_counter() - began)
    return statistics.median(times) * 1e6


def _blocking_calls_per_second(call: Any, count: int) -> float:
    def caller() -> None:
        for _ in range(count // CALLERS):
            call(PAYLOAD)

    began = perf_counter()
    with ThreadPoolExecutor(CALLERS) as pool:
        for done in [pool.submit(caller) for _ in range(CALLERS)]:
            done.result()
    return count / (perf_counter() - began)


async def _serve_ours(path: str) -> None:
    async def echo(payload: bytes, _: CallContext) -> bytes:
        return payload

    def report(service: str, method: str, error: Exception) -> None:
        print(f"{service}/{method}: {error!r}", file=sys.stderr)

    server = GrpcServer({(SERVICE, METHOD): echo}, on_error=report)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_unix, path, server.serve_stream)
        print("ready", flush=True)


async def _serve_grpcio(path: str) -> None:
    grpc: Any = importlib.import_module("grpc")

    def echo(payload: bytes, _: Any) -> bytes:
        return payload

    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        handler = grpc.unary_unary_rpc_method_handler(echo)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        server.add_insecure_port(f"unix:{path}")
        server.start()
        print("ready", flush=True)
        await trio.sleep_forever()


FIGURES = (
    Figure("grpc_rtt", "p50 of a gRPC call's round trip over a unix socket", "us", _round_trip),
    Figure("grpc_16way", "gRPC calls with 16 in flight on one connection", "calls/s", _sixteen_way),
)

if __name__ == "__main__":
    trio.run({"ours": _serve_ours, "grpcio": _serve_grpcio}[sys.argv[1]], sys.argv[2])
