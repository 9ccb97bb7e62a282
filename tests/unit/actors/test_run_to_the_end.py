"""`SystemHandle.run`: one container in a sandbox of its own, which is gone afterwards, whatever happened."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from actors.errors import AlreadyExists, GuestDied, InvalidArgument, PermissionDenied
from actors.handles import Completed
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.agents import ScriptedGuest, scripted_system

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from actors.handles import SystemHandle

SPEC = ContainerSpec(process=ProcessSpec(args=("job",)))


@asynccontextmanager
async def emptied(guest: ScriptedGuest) -> AsyncGenerator[SystemHandle]:
    """A system that has no sandbox afterwards, and whose guest has ended."""
    async with scripted_system(guest) as system:
        yield system
        assert (await system.info()).children == ()
        assert guest.log.count("launch") == guest.log.count("guest ended")


async def until_it_runs(guest: ScriptedGuest) -> Any:
    while not (guest.calls["start_container"] and guest.calls["read_stdout"]):
        await trio.testing.wait_all_tasks_blocked()
        if guest.processes:
            break
    await trio.testing.wait_all_tasks_blocked()
    return guest.init("main")


async def test_its_input_goes_in_its_output_comes_out_and_nothing_stays(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with emptied(guest) as system, trio.open_nursery() as nursery:

        async def behave() -> None:
            init = await until_it_runs(guest)
            assert (bytes(init.input), init.input_closed) == (b"in", True)
            init.write(b"out")
            init.exit(7)

        nursery.start_soon(behave)
        assert await system.run("job", SPEC, stdin=b"in") == Completed(7, b"out", b"")


async def test_input_that_is_never_read_holds_nothing_up(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with emptied(guest) as system, trio.open_nursery() as nursery:

        async def behave() -> None:
            init = await until_it_runs(guest)
            init.input_room = 0
            init.exit(0)

        nursery.start_soon(behave)
        assert (await system.run("job", SPEC, stdin=bytes(4_000_000))).code == 0


@pytest.mark.parametrize("stdin", [b"", b"in", bytes(4_000_000)], ids=len)
async def test_one_that_ends_before_its_input_comes_is_told_by_its_code(
    stdin: bytes, autojump_clock: MockClock
) -> None:
    gate = trio.Event()
    guest = ScriptedGuest(gates={"start_container main": gate})
    async with emptied(guest) as system, trio.open_nursery() as nursery:

        async def behave() -> None:
            await trio.sleep(0.5)  # virtual: by then its start waits at the gate
            guest.init("main").exit(3)
            gate.set()

        nursery.start_soon(behave)
        assert await system.run("job", SPEC, stdin=stdin) == Completed(3, b"", b"")


async def test_when_its_time_is_over_what_it_wrote_is_given(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with emptied(guest) as system, trio.open_nursery() as nursery:

        async def behave() -> None:
            (await until_it_runs(guest)).write(b"half")

        nursery.start_soon(behave)
        began = trio.current_time()
        done = await system.run("job", SPEC, timeout=3)
        assert (done, done.timed_out) == (Completed(None, b"half", b""), True)
        assert trio.current_time() - began < 3.1


@pytest.mark.parametrize("call", ["dial", "create_container main", "start_container main"])
async def test_its_time_is_for_its_start_too(call: str, autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(gates={call: trio.Event()})
    async with emptied(guest) as system:
        done = await system.run("job", SPEC, timeout=3)
    assert done == Completed(None, b"", b"")


@pytest.mark.parametrize("moment", range(0, 40, 3))
async def test_a_caller_that_is_cancelled_leaves_no_sandbox(moment: int) -> None:
    """In the scheduler's passes, not in time: from before the first ask to when it runs."""
    guest = ScriptedGuest()
    async with emptied(guest) as system, trio.open_nursery() as nursery:

        async def cancel_later() -> None:
            for _ in range(moment):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

        nursery.start_soon(cancel_later)
        await system.run("job", SPEC)


@pytest.mark.parametrize("call", ["create_sandbox", "create_container", "start_container"])
async def test_what_fails_is_told_and_leaves_no_sandbox(call: str) -> None:
    guest = ScriptedGuest(failures={call: PermissionDenied("the test said so")})
    async with emptied(guest) as system:
        with pytest.raises(PermissionDenied, match="the test said so"):
            await system.run("job", SPEC)


async def test_a_guest_that_dies_is_told_once() -> None:
    guest = ScriptedGuest()
    async with emptied(guest) as system, trio.open_nursery() as nursery:

        async def behave() -> None:
            (await until_it_runs(guest)).input_seconds = 0.0
            guest.die()

        nursery.start_soon(behave)
        with pytest.raises(GuestDied):
            await system.run("job", SPEC, stdin=bytes(100))


async def test_another_s_sandbox_of_that_name_is_not_touched() -> None:
    async with scripted_system(ScriptedGuest()) as system:
        box = await system.create_sandbox("job")
        await box.start()
        with pytest.raises(AlreadyExists):
            await system.run("job", SPEC)
        assert (await box.info()).state == "running"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"timeout": math.nan}, "timeout"), ({"stdin": "text"}, "stdin"), ({"max_bytes": -1}, "max_bytes")],
)
async def test_what_is_wrong_is_told_by_its_name(wrong: dict[str, Any], field: str) -> None:
    guest = ScriptedGuest()
    async with emptied(guest) as system:
        with pytest.raises(InvalidArgument) as caught:
            await system.run("job", SPEC, **wrong)
    assert guest.log == []
    assert caught.value.details["field"] == field
