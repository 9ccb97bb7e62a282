"""The measuring half that every peer shares: asked for n round trips, answers with their median."""

from __future__ import annotations

import statistics
import sys
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["ARGS", "median_of", "serve", "serve_async"]

# as large as what our own figure asks and is answered
ARGS = {"data": bytes(64)}


def serve(ask: Callable[[], object]) -> None:
    """Measure a blocking ask until the input ends."""
    ask()
    print("ready", flush=True)
    for line in sys.stdin:
        taken: list[float] = []
        for _ in range(int(line)):
            began = perf_counter()
            ask()
            taken.append(perf_counter() - began)
        print(median_of(taken), flush=True)


async def serve_async(ask: Callable[[], Awaitable[object]]) -> None:
    """The same for an ask that is awaited; between two turns nothing else runs in its loop."""
    await ask()
    print("ready", flush=True)
    for line in sys.stdin:
        taken: list[float] = []
        for _ in range(int(line)):
            began = perf_counter()
            await ask()
            taken.append(perf_counter() - began)
        print(median_of(taken), flush=True)


def median_of(seconds: list[float]) -> float:
    """In us."""
    return statistics.median(seconds) * 1e6
