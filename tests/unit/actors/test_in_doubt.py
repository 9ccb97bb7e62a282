"""What a container actor does while it does not know: lost replies and forced stops, in virtual time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from actors.errors import AgentError, AgentUnreachable, NotFound, OutcomeUnknown
from actors.lifecycle.container import ContainerState
from actors.limits import DEFAULT_LIMITS
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.agents import ScriptedGuest, scripted_system

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from actors.handles import ContainerHandle

SPEC = ContainerSpec(process=ProcessSpec(args=("sh",)))


@asynccontextmanager
async def a_container(guest: ScriptedGuest) -> AsyncGenerator[ContainerHandle]:
    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        await box.start()
        yield await box.create_container("one", SPEC)


@pytest.mark.parametrize(
    ("told", "becomes"),
    [(ContainerState.RUNNING, "running"), (ContainerState.READY, "ready"), (None, "running")],
)
async def test_a_start_in_doubt_becomes_what_the_guest_says(
    told: ContainerState | None, becomes: str, autojump_clock: MockClock
) -> None:
    guest = ScriptedGuest(failures={"start_container": OutcomeUnknown("lost")})
    if told is not None:
        guest.states["one"] = told
    async with a_container(guest) as one:
        with pytest.raises(OutcomeUnknown):
            await one.start()
        while (state := (await one.info()).state) == "starting":
            await trio.lowlevel.checkpoint()
        assert state == becomes
        assert guest.calls["start_container"] == 1, "nothing is sent twice"


async def test_the_caller_is_told_before_the_guest_has_been_asked(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(failures={"pause_container": OutcomeUnknown("lost")})
    guest.states["one"] = ContainerState.PAUSED
    gate = guest.gates["container_state one"] = trio.Event()
    async with a_container(guest) as one:
        await one.start()
        began = trio.current_time()
        with pytest.raises(OutcomeUnknown):
            await one.pause()
        assert trio.current_time() == began
        assert (await one.info()).state == "running"
        # what changes the state waits for the truth
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.resume)
            await trio.sleep(1)
            assert guest.calls["resume_container"] == 0
            gate.set()
        assert guest.calls["resume_container"] == 1
        assert (await one.info()).state == "running"


async def test_a_stop_is_not_held_up_for_long_by_a_guest_that_does_not_tell(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(
        failures={"pause_container": OutcomeUnknown("lost"), "container_state": AgentUnreachable("down")}
    )
    async with a_container(guest) as one:
        await one.start()
        with pytest.raises(OutcomeUnknown):
            await one.pause()
        began = trio.current_time()
        assert (await one.stop()).code == 143
        assert trio.current_time() - began <= DEFAULT_LIMITS.reconnect_seconds + 0.1


async def test_what_was_not_told_in_time_is_found_out_later(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(
        failures={"pause_container": OutcomeUnknown("lost"), "container_state": AgentUnreachable("down")}
    )
    async with a_container(guest) as one:
        await one.start()
        with pytest.raises(OutcomeUnknown):
            await one.pause()
        await trio.sleep(DEFAULT_LIMITS.reconnect_seconds * 2)
        assert (await one.info()).state == "running"
        guest.states["one"] = ContainerState.PAUSED
        del guest.failures["container_state"]
        await trio.sleep(DEFAULT_LIMITS.reconnect_pause_seconds * 2)
        assert (await one.info()).state == "paused"


async def test_a_forced_stop_ends_stopped_and_makes_no_code_up(autojump_clock: MockClock) -> None:
    down = AgentUnreachable("down")
    guest = ScriptedGuest(failures={"signal_process": down, "kill_all": down, "remove_container": down})
    async with a_container(guest) as one:
        await one.start()
        with pytest.raises(AgentUnreachable):
            await one.stop()
        assert (await one.info()).state == "stopping", "it can be stopped again"
        with pytest.raises(OutcomeUnknown, match="by force"):
            await one.stop(force=True)
        assert (await one.info()).state == "stopped"
        with pytest.raises(OutcomeUnknown):
            await one.init.wait()
        with pytest.raises(AgentUnreachable):
            await one.delete()
        await one.delete(force=True)
        with pytest.raises(NotFound):
            await one.info()


async def test_a_forced_delete_does_not_wait_for_a_stuck_exec(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    guest.gates["exec_process one"] = trio.Event()
    async with a_container(guest) as one:
        await one.start()
        async with trio.open_nursery() as nursery:

            async def stuck() -> None:
                with pytest.raises((OutcomeUnknown, AgentError)):
                    await one.exec("e1", ProcessSpec(args=("sh",)))

            nursery.start_soon(stuck)
            await trio.sleep(1)
            began = trio.current_time()
            await one.delete(force=True)
            assert trio.current_time() - began < 5
