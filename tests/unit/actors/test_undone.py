"""What failed or was cancelled: undone in the guest, its id free, and what was there before it untouched. In virtual time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.errors import AgentError, AlreadyExists, KatrioError, OutcomeUnknown
from actors.limits import DEFAULT_LIMITS as LIMITS
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.agents import ScriptedGuest, scripted_system

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from actors.handles import ContainerHandle, SandboxHandle
    from actors.sandbox import Images

SH = ProcessSpec(args=("sh",))
SPEC = ContainerSpec(process=SH)


class _OneRoot:
    """Gives one root out; giving it back takes its time."""

    def __init__(self) -> None:
        self.out = 0

    async def resolve(self, image: str, *, spoilt: bool) -> str:
        await trio.lowlevel.checkpoint()
        self.out += 1
        return "/root"

    async def release(self, rootfs: str) -> None:
        await trio.sleep(1)
        self.out -= 1


@asynccontextmanager
async def a_container(
    guest: ScriptedGuest, images: Images | None = None
) -> AsyncGenerator[tuple[SandboxHandle, ContainerHandle]]:
    async with scripted_system(guest, images=images) as system:
        box = await system.create_sandbox("box")
        await box.start()
        one = await box.create_container("one", SPEC)
        await one.start()
        yield box, one


async def test_an_id_that_is_taken_stays_with_who_has_it(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_container(guest) as (box, one):
        await one.exec("e1", SH)
        with pytest.raises(AlreadyExists):
            await box.create_container("one", SPEC)
        for name in ("e1", "one"):
            with pytest.raises(AlreadyExists):
                await one.exec(name, SH)
        assert (await box.info()).children == ("one",)
        info = await one.info()
        assert (info.state, info.children) == ("running", ("e1",))
        assert (guest.calls["create_container"], guest.calls["exec_process"]) == (1, 1)


async def test_an_exec_that_failed_leaves_its_id_free_and_its_waiters_told(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(gates={"exec_process one": trio.Event()}, failures={"exec_process": AgentError("no memory")})
    waits: list[str] = []
    async with a_container(guest) as (_, one):

        async def exec_one() -> None:
            with pytest.raises(AgentError, match="no memory"):
                await one.exec("e1", SH)

        async def wait() -> None:
            try:
                await one.process("e1").wait(timeout=None)
            except KatrioError as error:
                waits.append(error.message)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(exec_one)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            guest.gates["exec_process one"].set()
        assert waits == ["exec of 'e1' failed; it never ran"]
        assert (await one.info()).children == ()
        guest.failures.clear()
        await one.exec("e1", SH)
        assert (await one.info()).children == ("e1",)


async def test_an_exec_that_took_too_long_leaves_its_id_free(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(gates={"exec_process one": trio.Event()})
    async with a_container(guest) as (_, one):
        with pytest.raises(OutcomeUnknown):
            await one.exec("e1", SH, timeout=None)
        del guest.gates["exec_process one"]
        await one.exec("e1", SH)
        assert (await one.info()).children == ("e1",)


async def test_an_exec_whose_reply_was_lost_is_followed_as_it_may_run(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_container(guest) as (_, one):
        guest.failures["exec_process"] = OutcomeUnknown("the link broke")
        with pytest.raises(OutcomeUnknown):
            await one.exec("e1", SH)
        with pytest.raises(AlreadyExists):
            await one.exec("e1", SH)


@pytest.mark.parametrize("how", ["it takes too long", "its sandbox is stopped"])
async def test_a_create_that_was_cut_off_is_undone_over_its_link_and_its_id_and_root_are_free(
    how: str, autojump_clock: MockClock
) -> None:
    images = _OneRoot()
    guest = ScriptedGuest()
    async with a_container(guest, images) as (box, _):
        guest.gates["reply create_container two"] = trio.Event()
        guest.gates["remove_container two"] = undone = trio.Event()
        codes: list[str] = []

        async def create() -> None:
            try:
                await box.create_container("two", SPEC, timeout=None)
            except KatrioError as error:
                codes.append(error.code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(create)
            await trio.testing.wait_all_tasks_blocked()
            assert ("two", "two") in guest.processes
            if how == "it takes too long":
                await trio.sleep(LIMITS.mutate_seconds)
            else:
                nursery.start_soon(box.stop)
            await trio.sleep(0.1)
            assert "remove_container two" in guest.log
            # the guest takes its time, and has it
            await trio.sleep(LIMITS.cancel_grace_seconds / 4)
            undone.set()
        assert codes == ["unknown" if how == "it takes too long" else "invalid_transition"]
        assert ("two", "two") not in guest.processes
        await trio.sleep(2)
        if how == "it takes too long":
            assert images.out == 1
            assert (await box.info()).children == ("one",)
            del guest.gates["reply create_container two"]
            assert (await (await box.create_container("two", SPEC)).info()).state == "ready"
    assert images.out == 0


async def test_a_name_that_has_a_new_owner_is_not_taken_from_it_by_the_end_of_the_old(
    autojump_clock: MockClock,
) -> None:
    # the old one's task ends a second after its delete: until then it gives its root back
    async with a_container(ScriptedGuest(), _OneRoot()) as (box, one):
        await one.delete(force=True)
        successor = await box.create_container("one", SPEC)
        await trio.sleep(5)
        assert (await box.info()).children == ("one",)
        assert (await successor.info()).state == "ready"
        await successor.start()
