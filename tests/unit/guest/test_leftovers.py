"""What ended processes leave unread: in memory, within one bound, the oldest first, and every gap told."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.errors import ResourceExhausted
from actors.guest.executor import Executor
from actors.guest.leftovers import Leftover, Leftovers
from actors.guest.model import GuestModel
from actors.limits import DEFAULT_LIMITS
from actors.schemas.oci import Process, Root, Spec
from actors.simulation.engine import SimulatedEngine

BOUND = 200_000
STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(("put", "take")), st.integers(0, 90_000)), min_size=1, max_size=60
)


@given(STEPS)
def test_no_more_than_the_bound_and_every_byte_is_there_or_told_as_lost(steps: list[tuple[int, str, int]]) -> None:
    leftovers = Leftovers(BOUND)
    streams = [Leftover(leftovers) for _ in range(4)]
    put, taken = [0] * 4, [0] * 4
    for number, action, count in steps:
        if action == "put":
            streams[number].put(bytes(count))
            put[number] += count
        else:
            taken[number] += len(streams[number].take(count + 1))
        assert leftovers.size == sum(stream.size for stream in streams) <= BOUND
    for number, stream in enumerate(streams):
        assert put[number] == taken[number] + stream.size + stream.lost
        stream.clear()
    assert leftovers.size == 0


def test_the_oldest_go_first_whoever_has_them() -> None:
    leftovers = Leftovers(100_000)
    first, second = Leftover(leftovers), Leftover(leftovers)
    first.put(b"a" * 60_000)
    second.put(b"b" * 60_000)
    assert (first.lost, first.size, second.lost) == (60_000, 0, 0)
    second.put(b"c" * 60_000)
    assert (second.lost, second.take(70_000)) == (60_000, b"c" * 60_000)


async def test_what_was_dropped_is_told_once_and_the_rest_is_there(autojump_clock: trio.testing.MockClock) -> None:
    limits = replace(DEFAULT_LIMITS, leftover_bytes=10_000)
    executor = Executor(SimulatedEngine(random.Random(0)), GuestModel(limits), limits)
    async with trio.open_nursery() as nursery:
        await nursery.start(executor.run)
        executor.model.create_sandbox("box")
        idle = Process(args=("sleep", "1000"), cwd="/")
        await executor.create("one", Spec(version="1.0.2", root=Root(path="/"), process=idle))
        await executor.start("one")
        for name in ("old", "new"):
            args = ("sh", "-c", f"yes {name} | head -c 8000")
            await executor.exec("one", name, Process(args=args, cwd="/"))
            assert (await executor.wait("one", name)).code == 0
            await trio.sleep(1)
        old, new = executor.process("one", "old"), executor.process("one", "new")
        with pytest.raises(ResourceExhausted, match="dropped unread") as lost:
            await old.read_stdout(100_000)
        rest = b""
        while part := await old.read_stdout(1000):
            rest += part
        assert len(rest) + int(str(lost.value.details["lost"])) == 8000
        assert await new.read_stdout(100_000) == (b"new\n" * 2000)
        assert await new.read_stdout(1) == b""
        nursery.cancel_scope.cancel()


async def test_what_is_there_is_read_though_a_grandchild_holds_the_pipe(autojump_clock: trio.testing.MockClock) -> None:
    executor = Executor(SimulatedEngine(random.Random(0)), GuestModel(DEFAULT_LIMITS), DEFAULT_LIMITS)
    async with trio.open_nursery() as nursery:
        await nursery.start(executor.run)
        executor.model.create_sandbox("box")
        idle = Process(args=("sleep", "1000"), cwd="/")
        await executor.create("one", Spec(version="1.0.2", root=Root(path="/"), process=idle))
        await executor.start("one")
        args = ("sh", "-c", "(sleep 20; echo late) & echo early")
        await executor.exec("one", "leader", Process(args=args, cwd="/"))
        assert (await executor.wait("one", "leader")).code == 0
        # what is unread is being brought into memory by now, and the pipe is still open
        await trio.sleep(1)
        leader = executor.process("one", "leader")
        with trio.fail_after(1):
            assert await leader.read_stdout(100) == b"early\n"
        assert await leader.read_stdout(100) == b"late\n"
        assert await leader.read_stdout(100) == b""
        nursery.cancel_scope.cancel()
