"""A process's streams around its end: whoever waits when one is forgotten sees the end, and whoever comes gets what was printed."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from actors.guest.executor import Executor
from actors.guest.model import GuestModel
from actors.limits import DEFAULT_LIMITS
from actors.schemas.oci import Process, Root, Spec
from actors.simulation.engine import SimulatedEngine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

# Trio wakes the waiter and goes on with who has closed in any order: so many make the missing of one order unlikely
MANY = 16


@asynccontextmanager
async def a_running_container() -> AsyncGenerator[Executor]:
    executor = Executor(SimulatedEngine(random.Random(0)), GuestModel(DEFAULT_LIMITS), DEFAULT_LIMITS)
    async with trio.open_nursery() as nursery:
        await nursery.start(executor.run)
        executor.model.create_sandbox("box")
        idle = Process(args=("sleep", "1000"), cwd="/")
        await executor.create("one", Spec(version="1.0.2", root=Root(path="/"), process=idle))
        await executor.start("one")
        yield executor
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "script",
    ["sleep 1000", "sleep 1000 & exit 0"],
    ids=["a live process", "an ended one, whose pipe a grandchild holds"],
)
async def test_closed_under_its_reader_a_stream_is_at_its_end(
    script: str, autojump_clock: trio.testing.MockClock
) -> None:
    read: list[bytes] = []
    async with a_running_container() as executor:
        names = [f"p{number}" for number in range(MANY)]
        for name in names:
            await executor.exec("one", name, Process(args=("sh", "-c", script), cwd="/"))

        async def read_one(name: str) -> None:
            read.append(await executor.process("one", name).read_stdout(1000))

        async with trio.open_nursery() as readers:
            for name in names:
                readers.start_soon(read_one, name)
            await trio.sleep(1)
            for name in names:
                await executor.process("one", name).aclose()
        assert read == [b""] * MANY
        # its own tasks, which take over what nobody reads, live on
        await executor.exec("one", "after", Process(args=("echo", "hello"), cwd="/"))
        assert await executor.process("one", "after").read_stdout(1000) == b"hello\n"
        assert (await executor.wait("one", "after")).code == 0


@pytest.mark.parametrize("turns", range(12))
async def test_what_was_printed_before_the_end_is_there_for_whoever_comes(
    turns: int, autojump_clock: trio.testing.MockClock
) -> None:
    """The guest takes it over from the pipe at the same moment, and a grandchild keeps that from ending."""
    async with a_running_container() as executor:
        for number in range(MANY):
            process = Process(args=("sh", "-c", "echo said; sleep 1000 & exit 4"), cwd="/")
            await executor.exec("one", f"p{number}", process)
            assert (await executor.wait("one", f"p{number}")).code == 4
            for _ in range(turns):
                await trio.lowlevel.cancel_shielded_checkpoint()
            with trio.fail_after(5):
                assert await executor.process("one", f"p{number}").read_stdout(1000) == b"said\n"
