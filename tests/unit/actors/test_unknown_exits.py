"""Processes that have ended nobody knows how: their agent says the same of a death by signal and of a clean exit."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio

from actors.errors import AgentUnreachable, OutcomeUnknown
from actors.wire.spec import ContainerSpec, ProcessSpec, Stopped
from tests.support.agents import ScriptedGuest, one_running, scripted_system

if TYPE_CHECKING:
    from trio.testing import MockClock

SPEC = ContainerSpec(process=ProcessSpec(args=("sh",)))


async def test_a_wait_is_unknown_with_the_signal_at_once_and_for_good(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        await box.start()
        one = await box.create_container("one", SPEC)
        await one.start()
        other = await one.exec("e1", ProcessSpec(args=("sleep",)))
        process = guest.processes["one", "e1"]
        process.ambiguous = True
        process.write(b"its last words")
        await one.process("e1").signal(signal.SIGTERM)
        for _ in range(2):
            with pytest.raises(OutcomeUnknown, match="0 after signal 15") as unknown:
                await other.wait()
            assert unknown.value.details["signal"] == signal.SIGTERM
        assert process.waits == 1, "the agent is asked once, as it has answered"
        async with other.open_stdout() as parts:
            assert b"".join([part.data async for part in parts]) == b"its last words"
        assert (await one.info()).children == (), "it does not run any more"


@pytest.mark.parametrize("lost", [OutcomeUnknown("the link broke under it"), AgentUnreachable("no link")], ids=str)
async def test_a_wait_whose_reply_was_lost_is_asked_for_again(
    lost: OutcomeUnknown | AgentUnreachable, autojump_clock: MockClock
) -> None:
    guest = ScriptedGuest()
    async with one_running(guest) as one:
        guest.failures["wait_process"] = lost
        other = await one.exec("e1", ProcessSpec(args=("sleep",)))
        await trio.sleep(10)
        assert (await one.info()).children == ("e1",), "it runs, for all that is known"
        del guest.failures["wait_process"]
        guest.processes["one", "e1"].exit(3)
        assert (await other.wait()).code == 3


async def test_a_stop_that_is_done_is_no_failure(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        await box.start()
        one = await box.create_container("one", SPEC)
        async with one.open_events() as events:
            await one.start()
            guest.init("one").ambiguous = True
            assert await one.stop() == Stopped(None, signal.SIGTERM)
            assert await one.stop() == Stopped(None, signal.SIGTERM)
            info = await one.info()
            assert (info.state, info.exit) == ("stopped", None)
            while (seen := await anext(events)).event.kind != "exit":
                pass
            assert (seen.event.process, seen.event.exit) == ("", None)
        with pytest.raises(OutcomeUnknown):
            await one.init.wait()
        await one.delete()


async def test_a_stop_by_force_whose_kill_fails_stays_unknown(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(failures={"kill_all": OutcomeUnknown("lost")})
    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        await box.start()
        one = await box.create_container("one", SPEC)
        await one.start()
        guest.init("one").ignores = frozenset({signal.SIGTERM})
        with pytest.raises(OutcomeUnknown, match="by force"):
            await one.stop(grace=0, force=True)
