"""Processes that compute and send nothing: what a machine's cores being taken costs by itself.

A flood takes two cores, its sender's and its receiver's; on a machine of two, whoever asks beside it waits for the scheduler
too. `open_spinning` gives the floor of that. `python -m benchmarks.spinning` takes `g` (go) and `s` (stop) on its input.
"""

from __future__ import annotations

import os
import select
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from benchmarks.processes import open_process

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    import trio

__all__ = ["SPINNING", "open_spinning"]

# the name of that side of a comparison
SPINNING = "beside two busy loops"
_LOOPS = 2
# between two looks at the input
_STEPS = 100_000


@asynccontextmanager
async def open_spinning() -> AsyncGenerator[Callable[[Callable[[], Awaitable[float]]], Awaitable[float]]]:
    """Two such processes; what is given measures beside them."""
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(open_process("benchmarks.spinning")) for _ in range(_LOOPS)]

        async def beside(measure: Callable[[], Awaitable[float]]) -> float:
            await _tell(processes, b"g")
            try:
                return await measure()
            finally:
                await _tell(processes, b"s")

        yield beside


async def _tell(processes: list[trio.Process], word: bytes) -> None:
    for process in processes:
        assert process.stdin is not None
        await process.stdin.send_all(word)


def _spin() -> None:
    going = False
    while True:
        if not going or select.select([0], [], [], 0)[0]:
            word = os.read(0, 1)
            if not word:
                return
            going = word == b"g"
        for _ in range(_STEPS):
            pass


if __name__ == "__main__":
    print("ready", flush=True)
    _spin()
