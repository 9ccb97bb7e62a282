"""A guest that hangs is given up, one that is slow, or whose host slept, is not: in virtual time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.errors import AgentError, AgentUnreachable, GuestDied, KatrioError
from actors.limits import DEFAULT_LIMITS
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.agents import ScriptedGuest, scripted_system

if TYPE_CHECKING:
    from trio.testing import MockClock

    from actors.handles import SandboxHandle

LIMITS = DEFAULT_LIMITS
SPEC = ContainerSpec(process=ProcessSpec(args=("sh",)))
CHECK, CANARY = "check ", "stats_container katrio-canary"
# the round in which it begins to hang was just over, and every round of a window may be needed
LONGEST = LIMITS.health_period_seconds + LIMITS.health_window * LIMITS.health_answer_seconds


async def wait_for(box: SandboxHandle, state: str) -> None:
    async with box.open_events() as events:
        while (await anext(events)).event.state != state:
            pass


@pytest.mark.parametrize(
    ("hangs", "says"), [(CHECK, "did not answer a health check"), (CANARY, "did not answer a call that needs its lock")]
)
async def test_a_guest_that_hangs_is_lost_with_a_reason_and_all_that_wait_are_told(
    hangs: str, says: str, autojump_clock: MockClock
) -> None:
    guest = ScriptedGuest()
    failures: list[KatrioError] = []

    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        await box.start()
        one = await box.create_container("one", SPEC)
        await one.start()

        async def wait() -> None:
            try:
                await one.init.wait()
            except KatrioError as error:
                failures.append(error)

        await trio.sleep(100)
        assert (await box.info()).state == "running"
        began = trio.current_time()
        guest.gates[hangs] = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await wait_for(box, "lost")
            took = trio.current_time() - began
        assert LIMITS.health_misses * LIMITS.health_answer_seconds <= took <= LONGEST
        assert trio.current_time() - began == took, "who waited is told at once"
        (failure,) = failures
        assert isinstance(failure, GuestDied)
        assert f"{says} within 15 s, in 3 of the last" in failure.message
        assert (await one.info()).state == "lost"
        assert "kill" in guest.log, "it would hang in an orderly end as well"
        # what is lost can still be brought to an end, and its name used again
        await one.delete(force=True)
        await box.stop(grace=0)
        await box.delete()
        await (await system.create_sandbox("box")).delete()
    assert guest.connections == 0


async def test_a_guest_that_can_not_be_reached_for_long_is_lost(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        await box.start()
        guest.failures["check"] = AgentUnreachable("the link is down")
        await trio.sleep(LIMITS.health_period_seconds * (LIMITS.health_misses - 1))
        assert (await box.info()).state == "running", "a link is dialled again"
        await wait_for(box, "lost")


@pytest.mark.parametrize("missed", [1, 2])
async def test_fewer_misses_than_it_takes_are_forgiven_however_often(missed: int, autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        await box.start()
        for _ in range(10):
            gate = guest.gates[CHECK] = trio.Event()
            await trio.sleep(missed * LIMITS.health_answer_seconds)
            gate.set()
            await trio.sleep(LIMITS.health_window * LIMITS.health_period_seconds)
        assert (await box.info()).state == "running"


async def test_an_answer_just_in_time_is_an_answer(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        await box.start()
        for _ in range(20):
            gate = guest.gates[CHECK] = trio.Event()
            await trio.sleep(LIMITS.health_answer_seconds - 0.1)
            gate.set()
            await trio.testing.wait_all_tasks_blocked()
        assert (await box.info()).state == "running"


async def test_any_answer_will_do_also_a_refusal(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(failures={"stats_container": AgentError("no"), "check": AgentError("no")})
    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        await box.start()
        await trio.sleep(20 * LIMITS.health_period_seconds)
        assert (await box.info()).state == "running"
        assert guest.calls["check"] >= 19


async def test_a_host_that_slept_past_its_deadlines_blames_nobody(mock_clock: MockClock) -> None:
    guest = ScriptedGuest(gates={CHECK: trio.Event()})
    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        await box.start()
        for _ in range(10):
            # as after a suspend: the clock has gone on, and we were not there
            mock_clock.jump(1000)
            await trio.testing.wait_all_tasks_blocked()
        assert (await box.info()).state == "running"
        for _ in range(LIMITS.health_misses):
            mock_clock.jump(LIMITS.health_answer_seconds)
            await trio.testing.wait_all_tasks_blocked()
        assert (await box.info()).state == "lost", "the same silence, with us awake"


async def test_without_a_period_nobody_asks(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with scripted_system(guest, replace(LIMITS, health_period_seconds=float("inf"))) as system:
        box = await system.create_sandbox("box")
        await box.start()
        await trio.sleep(1000)
        assert guest.calls["check"] == 0
