"""The other side of a comparison in a process of its own.

`open_process(script, ...)` starts one that says when it is ready by writing a line; `open_turns` is for a peer
that measures by itself: it is told how many round trips to make and answers with their median. Not for
what they serve: that is in the scripts.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import asynccontextmanager, suppress
from subprocess import PIPE
from typing import TYPE_CHECKING

import trio

from benchmarks.figure import Skipped

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["open_process", "open_turns"]

# ray needs ten seconds to be there, and more on a loaded machine
READY_SECONDS = 120.0
GOODBYE_SECONDS = 10.0


class _Lines:
    """Lines of a process's output."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._buffer = b""

    async def next(self) -> str:
        assert self._process.stdout is not None
        while b"\n" not in self._buffer:
            data = await self._process.stdout.receive_some()
            if not data:
                raise RuntimeError(f"{self._process.args!r} ended early, with {await self._process.wait()}")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode().strip()


@asynccontextmanager
async def open_process(*arguments: str, python: str = sys.executable) -> AsyncGenerator[trio.Process]:
    """`python -m ARGUMENTS`, once it has written a line; killed at the end. Hides a nursery."""
    async with _open(python, arguments) as (process, lines):
        with trio.fail_after(READY_SECONDS):
            await lines.next()
        yield process


@asynccontextmanager
async def open_turns(*arguments: str, python: str) -> AsyncGenerator[Callable[[int], Awaitable[float]]]:
    """A peer that measures itself: `await turn(n)` is the median of n round trips, in us.

    It writes `ready`, or `skip REASON`, and then answers every line that it reads. Hides a nursery.
    """
    async with _open(python, arguments) as (process, lines):
        with trio.fail_after(READY_SECONDS):
            first = await lines.next()
        if first.startswith("skip"):
            raise Skipped(first[5:])

        async def turn(times: int) -> float:
            assert process.stdin is not None
            await process.stdin.send_all(b"%d\n" % times)
            return float(await lines.next())

        yield turn
        # the end of its input tells it that it is over; ray has a dozen helpers to send home
        assert process.stdin is not None
        await process.stdin.aclose()
        with trio.move_on_after(GOODBYE_SECONDS):
            await process.wait()


@asynccontextmanager
async def _open(python: str, arguments: tuple[str, ...]) -> AsyncGenerator[tuple[trio.Process, _Lines]]:
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(_run, [python, "-m", *arguments])
        lines = _Lines(process)
        try:
            yield process, lines
        finally:
            nursery.cancel_scope.cancel()


async def _run(command: list[str], *, task_status: trio.TaskStatus[trio.Process]) -> None:
    # a session of its own: a peer's helpers (ray has a dozen) end with it
    process = await trio.lowlevel.open_process(command, stdin=PIPE, stdout=PIPE, start_new_session=True)
    try:
        task_status.started(process)
        await process.wait()
    finally:
        with trio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with trio.move_on_after(10):
                await process.wait()
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
