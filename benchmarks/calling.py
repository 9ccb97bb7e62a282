"""An echo called by a client of ours, one call after another or many at once: over ttRPC and over gRPC alike."""

from __future__ import annotations

import statistics
from time import perf_counter
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from transports.calls.client import CallClient

__all__ = ["CALLERS", "METHOD", "PAYLOAD", "SERVICE", "call_round_trip", "calls_per_second"]

SERVICE, METHOD = "bench.Echo", "Echo"
PAYLOAD = bytes(64)
CALLERS = 16


async def call_round_trip(client: CallClient, count: int) -> float:
    """The median of so many calls, in us."""
    times: list[float] = []
    for _ in range(count):
        began = perf_counter()
        await client.call(SERVICE, METHOD, PAYLOAD)
        times.append(perf_counter() - began)
    return statistics.median(times) * 1e6


async def calls_per_second(client: CallClient, count: int) -> float:
    """So many calls by `CALLERS` at once."""

    async def caller() -> None:
        for _ in range(count // CALLERS):
            await client.call(SERVICE, METHOD, PAYLOAD)

    began = perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(CALLERS):
            nursery.start_soon(caller)
    return count / (perf_counter() - began)
