"""What gRPC costs: a call's round trip, ours at both ends, against grpcio at both ends.

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
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import trio

from benchmarks.figure import Comparison, Effort, Figure, Goal, Measured, take_turns
from benchmarks.processes import open_process
from transports.grpc.client import GrpcClient
from transports.grpc.server import GrpcServer
from transports.stream import dial_with_backoff, serve_unix, unix_dialer

if TYPE_CHECKING:
    from transports.calls.server import CallContext

SERVICE, METHOD = "bench.Echo", "Echo"
PAYLOAD = bytes(64)

ROUNDS = 5
ROUND_TRIPS = 1_000
# it is for the tests, and no part of an installation
HAS_GRPCIO = importlib.util.find_spec("grpc") is not None


async def _round_trip(effort: Effort) -> Measured:
    times, rounds = effort.times(ROUND_TRIPS), effort.rounds(ROUNDS)
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/ours.sock"
        async with open_process("benchmarks.grpc_calls", "ours", path), trio.open_nursery() as nursery:
            client = GrpcClient(await dial_with_backoff(unix_dialer(path), seconds=10))
            await nursery.start(client.run)
            ours = partial(_call_round_trip, client, times)
            if not HAS_GRPCIO:
                measured = Measured([await ours() for _ in range(rounds)])
            else:
                measured = await _beside_grpcio(f"{directory}/theirs.sock", ours, times, rounds)
            await client.aclose()
    return measured


async def _beside_grpcio(path: str, ours: Any, times: int, rounds: int) -> Measured:
    grpc: Any = importlib.import_module("grpc")
    async with open_process("benchmarks.grpc_calls", "grpcio", path):
        with grpc.insecure_channel(f"unix:{path}") as channel:
            call = channel.unary_unary(f"/{SERVICE}/{METHOD}")

            async def theirs() -> float:
                return await trio.to_thread.run_sync(_blocking_round_trip, call, times)

            seen, compared = await take_turns(rounds, ours, theirs)
    return Measured(seen, [Comparison("grpcio, client and server", compared, Goal(most=2.0))])


async def _call_round_trip(client: GrpcClient, count: int) -> float:
    times: list[float] = []
    for _ in range(count):
        began = perf_counter()
        await client.call(SERVICE, METHOD, PAYLOAD)
        times.append(perf_counter() - began)
    return statistics.median(times) * 1e6


def _blocking_round_trip(call: Any, count: int) -> float:
    times: list[float] = []
    for _ in range(count):
        began = perf_counter()
        call(PAYLOAD)
        times.append(perf_counter() - began)
    return statistics.median(times) * 1e6


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


FIGURES = (Figure("grpc_rtt", "p50 of a gRPC call's round trip over a unix socket", "us", _round_trip),)

if __name__ == "__main__":
    trio.run({"ours": _serve_ours, "grpcio": _serve_grpcio}[sys.argv[1]], sys.argv[2])
