"""What ttRPC costs: a call's round trip against the bare stream's, and calls per second 16-way.

For `scripts/bench`, which merges `measure()`, and for a look by hand: `python benchmarks/ttrpc.py` prints JSON.
The server is a second process. Rounds of all figures alternate and their median counts, because a
shared machine's speed wanders. Not a test: nothing is asserted.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from contextlib import asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

import trio

from transports.stream import dial_with_backoff, serve_unix, unix_dialer
from transports.ttrpc.client import TtrpcClient
from transports.ttrpc.codec import HEADER_BYTES, encode_method, encode_request, encode_response
from transports.ttrpc.server import CallContext, TtrpcServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

SERVICE, METHOD = "bench.Echo", "Echo"
PAYLOAD = bytes(64)
REQUEST_BYTES = HEADER_BYTES + len(encode_request(encode_method(SERVICE, METHOD), PAYLOAD, 0))
RESPONSE_BYTES = HEADER_BYTES + len(encode_response(PAYLOAD))

ROUNDS = 5
ROUND_TRIPS = 2_000
CALLS = 20_000
CALLERS = 16


async def measure() -> dict[str, dict[str, Any]]:
    """Run all figures; name -> {value, unit, against, ratio} (ratio: ours over `against`)."""
    bare: list[float] = []
    ours: list[float] = []
    bare_rates: list[float] = []
    rates: list[float] = []
    async with _server("bare") as bare_path, _server("ttrpc") as ttrpc_path, trio.open_nursery() as nursery:
        # stock Trio: the floor is what a user would have without us
        await (await dial_with_backoff(unix_dialer(bare_path), seconds=10)).aclose()
        stream = await trio.open_unix_socket(bare_path)
        client = TtrpcClient(await dial_with_backoff(unix_dialer(ttrpc_path), seconds=10))
        await nursery.start(client.run)
        for _ in range(ROUNDS):
            bare.append(await _bare_round_trip(stream))
            ours.append(await _call_round_trip(client))
            bare_rates.append(await _bare_exchanges_per_second(bare_path))
            rates.append(await _calls_per_second(client))
        await stream.aclose()
        await client.aclose()
    floor, value = statistics.median(bare), statistics.median(ours)
    bare_rate, rate = statistics.median(bare_rates), statistics.median(rates)
    return {
        "ttrpc_rtt": {
            "value": round(value, 1),
            "unit": "us",
            "against": {"name": "bare trio stream, same bytes", "value": round(floor, 1)},
            "ratio": round(value / floor, 2),
        },
        "ttrpc_16way": {
            "value": round(rate),
            "unit": "calls/s",
            "against": {"name": "16 bare trio streams, same bytes", "value": round(bare_rate)},
            "ratio": round(rate / bare_rate, 2),
        },
    }


async def _bare_round_trip(stream: trio.abc.Stream) -> float:
    request = bytes(REQUEST_BYTES)
    times: list[float] = []
    for _ in range(ROUND_TRIPS):
        began = perf_counter()
        await stream.send_all(request)
        await _receive_exactly(stream, RESPONSE_BYTES)
        times.append(perf_counter() - began)
    return statistics.median(times) * 1e6


async def _call_round_trip(client: TtrpcClient) -> float:
    times: list[float] = []
    for _ in range(ROUND_TRIPS):
        began = perf_counter()
        await client.call(SERVICE, METHOD, PAYLOAD)
        times.append(perf_counter() - began)
    return statistics.median(times) * 1e6


async def _calls_per_second(client: TtrpcClient) -> float:
    async def caller() -> None:
        for _ in range(CALLS // CALLERS):
            await client.call(SERVICE, METHOD, PAYLOAD)

    began = perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(CALLERS):
            nursery.start_soon(caller)
    return CALLS / (perf_counter() - began)


async def _bare_exchanges_per_second(path: str) -> float:
    request = bytes(REQUEST_BYTES)

    async def caller(stream: trio.abc.Stream) -> None:
        async with stream:
            for _ in range(CALLS // CALLERS):
                await stream.send_all(request)
                await _receive_exactly(stream, RESPONSE_BYTES)

    streams = [await trio.open_unix_socket(path) for _ in range(CALLERS)]
    began = perf_counter()
    async with trio.open_nursery() as nursery:
        for stream in streams:
            nursery.start_soon(caller, stream)
    return CALLS / (perf_counter() - began)


async def _receive_exactly(stream: trio.abc.Stream, count: int) -> None:
    while count:
        data = await stream.receive_some(count)
        if not data:
            raise EOFError("the other process closed the stream")
        count -= len(data)


@asynccontextmanager
async def _server(kind: str) -> AsyncGenerator[str]:
    """A second process that serves `kind` on a fresh unix socket; yields its path. Hides a nursery."""
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/{kind}.sock"
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.run_process, [sys.executable, __file__, kind, path])
            yield path
            nursery.cancel_scope.cancel()


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
        await trio.serve_listeners(serve, [trio.SocketListener(listening)])


async def _serve_ttrpc(path: str) -> None:
    async def echo(payload: bytes, _: CallContext) -> bytes:
        return payload

    def report(service: str, method: str, error: Exception) -> None:
        print(f"{service}/{method}: {error!r}", file=sys.stderr)

    await serve_unix(path, TtrpcServer({(SERVICE, METHOD): echo}, on_error=report).serve_stream)


if __name__ == "__main__":
    if sys.argv[1:2] == ["bare"]:
        trio.run(_serve_bare, sys.argv[2])
    elif sys.argv[1:2] == ["ttrpc"]:
        trio.run(_serve_ttrpc, sys.argv[2])
    else:
        print(json.dumps(trio.run(measure), indent=2))
