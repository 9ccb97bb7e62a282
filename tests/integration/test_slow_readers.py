"""A client that does not read hurts itself alone: three clients of one actor, each in a process of its own.

A million bytes of stream for each. What asks cost beside it is printed; the figure `slow_reader_p99` measures it.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from tests.integration.test_requests_between_processes import address as address  # a fixture
from tests.integration.test_requests_between_processes import first_line, program

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

BOUND_SECONDS = 60
ASKS = 300
# a window and a link's queue of the one that does not read, and what the allocator makes of it
MOST_GROWTH = 8 * 1024 * 1024


def memory(process: trio.Process, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found.group(1)) * 1024


@asynccontextmanager
async def a_late_reader(address: str) -> AsyncGenerator[trio.Process]:
    """It has opened its stream, and takes nothing until its standard input is closed."""
    command = [sys.executable, "-m", "tests.support.request_program", "late_reader", address]
    async with trio.open_nursery() as nursery:
        run = partial(trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process: trio.Process = await nursery.start(run)
        assert await first_line(process) == b"ready\n"
        yield process


async def read(address: str) -> dict[str, Any]:
    async with program("reader", address, ASKS) as (_, line):
        seen: dict[str, Any] = json.loads(line)
        return seen


async def keep(address: str, seen: list[dict[str, Any]]) -> None:
    seen.append(await read(address))


async def test_one_that_does_not_read_hurts_itself_alone(address: str) -> None:
    with trio.fail_after(BOUND_SECONDS):
        async with program("server", address) as (server, _):
            alone = await read(address)
            others: list[dict[str, Any]] = []
            before = memory(server, "VmHWM")
            async with a_late_reader(address) as late:
                # three clients of one actor
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(keep, address, others)
                    beside = await read(address)
                # and one that is not even running
                late.send_signal(signal.SIGSTOP)
                frozen = await read(address)
                late.send_signal(signal.SIGCONT)
                assert late.stdin is not None
                await late.stdin.aclose()
                resumed = json.loads(await first_line(late))
            growth = memory(server, "VmHWM") - before
    for name, seen in (("alone", alone), ("beside one that takes nothing", beside), ("beside a frozen one", frozen)):
        print(
            f"{name}: p50 {seen['p50'] * 1e6:.0f} us, p99 {seen['p99'] * 1e6:.0f} us, {seen['p99'] / alone['p99']:.2f} x"
        )
        assert seen["whole"]
        assert seen["asks"] == ASKS
    assert others[0]["whole"]
    assert resumed["whole"], "it gets all of it when it reads again"
    print(f"the server's memory grew by {growth / 1e6:.1f} MB")
    assert growth < MOST_GROWTH
