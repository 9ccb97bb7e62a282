"""An end that others keep from being told by holding the output: when it is asked for, and what that may cost."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from actors.agents.base import Polls
from actors.errors import AgentError, InvalidTransition, NotFound, Unsupported
from actors.limits import DEFAULT_LIMITS
from actors.wire.spec import ProcessSpec, ResourceSpec
from tests.support.agents import ScriptedGuest, ScriptedProcess, one_running

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from trio.testing import MockClock

    from actors.handles import ContainerHandle, ProcessHandle

TERMINAL = ProcessSpec(args=("sh",), tty=True)
PLAIN = ProcessSpec(args=("sh",))


@asynccontextmanager
async def exec_in(
    polls: Polls, spec: ProcessSpec = TERMINAL
) -> AsyncGenerator[tuple[ScriptedGuest, ScriptedProcess, ProcessHandle, ContainerHandle]]:
    """A process in a guest that forgets with a wait what is unread."""
    guest = ScriptedGuest(forgets=True, polls=polls)
    async with one_running(guest) as one:
        process = await one.exec("e1", spec)
        # its init is one too, and is asked for as often
        guest.init("one").close_output()
        yield guest, guest.processes["one", "e1"], process, one


@pytest.mark.parametrize(("polls", "times"), [(Polls.NEVER, 0), (Polls.SELDOM, 6), (Polls.OFTEN, 30)])
async def test_a_silent_process_is_asked_for_as_often_as_that_is_harmless(
    polls: Polls, times: int, autojump_clock: MockClock
) -> None:
    async with exec_in(polls) as (guest, scripted, process, _):
        before = guest.calls["poll_process"]
        await trio.sleep(100)
        assert guest.calls["poll_process"] - before == times
        scripted.exit(4)
        assert (await process.wait()).code == 4


async def test_one_that_talks_is_left_alone_for_long(autojump_clock: MockClock) -> None:
    async with exec_in(Polls.SELDOM) as (guest, scripted, _, _):
        for _ in range(58):
            scripted.write(b"tick")
            await trio.sleep(0.5)
        assert guest.calls["poll_process"] == 0
        for _ in range(10):
            scripted.write(b"tick")
            await trio.sleep(0.5)
        assert guest.calls["poll_process"] == 1


@pytest.mark.parametrize(("spec", "seconds"), [(PLAIN, 2.1), (TERMINAL, 4.4)])
async def test_the_end_of_one_output_makes_it_likely(
    spec: ProcessSpec, seconds: float, autojump_clock: MockClock
) -> None:
    """The scripted guest's processes have ended their error output from the start."""
    async with exec_in(Polls.SELDOM, spec) as (_, scripted, process, _):
        scripted.write(b"all")
        scripted.exit(4, holds_output=True)
        began = trio.current_time()
        done = await process.collect()
        assert (done.code, done.stdout, done.lost) == (4, b"all", 0)
        assert trio.current_time() - began < seconds


async def test_what_comes_while_an_end_is_asked_for_may_have_been_followed_by_more(autojump_clock: MockClock) -> None:
    async with exec_in(Polls.SELDOM) as (guest, scripted, process, _):
        gate = guest.gates["poll_process one"] = trio.Event()
        scripted.write(b"before ")
        await trio.sleep(4)
        scripted.write(b"meanwhile")
        scripted.exit(4, holds_output=True)
        gate.set()
        done = await process.collect()
        assert (done.code, done.stdout, done.lost) == (4, b"before meanwhile", 1)


async def test_an_agent_that_does_not_say_is_asked_again(autojump_clock: MockClock) -> None:
    async with exec_in(Polls.OFTEN) as (guest, scripted, process, _):
        guest.gates["poll_process one"] = trio.Event()
        scripted.exit(4, holds_output=True)
        await trio.sleep(6)
        del guest.gates["poll_process one"]
        guest.failures["poll_process"] = AgentError("not now")
        await trio.sleep(6)
        del guest.failures["poll_process"]
        with trio.fail_after(10):
            assert (await process.wait()).code == 4


async def test_a_stop_asks_for_codes_that_wait_for_output(autojump_clock: MockClock) -> None:
    async with exec_in(Polls.NEVER) as (_, scripted, process, one):
        scripted.exit(4, holds_output=True)
        await one.stop()
        assert (await process.wait()).code == 4


async def test_a_stop_waits_one_grace_for_an_end_that_is_asked_for_already(autojump_clock: MockClock) -> None:
    async with exec_in(Polls.NEVER, PLAIN) as (_, scripted, _, one):
        # it goes on without its output, and outlives the init for a while
        scripted.close_output()
        await trio.sleep(1)
        began = trio.current_time()
        await one.stop()
        assert trio.current_time() - began == pytest.approx(DEFAULT_LIMITS.drain_grace_seconds)


REFUSALS = [AgentError("ESRCH"), NotFound("who?"), AgentError("EPIPE", status="INTERNAL")]


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
async def test_what_is_refused_of_a_process_that_has_ended_is_told_as_its_end(
    refusal: AgentError | NotFound, autojump_clock: MockClock
) -> None:
    """Before anybody here knows of that."""
    for verb in ("signal", "write", "close_stdin"):
        async with exec_in(Polls.NEVER, PLAIN) as (guest, scripted, process, _):
            guest.failures |= dict.fromkeys(("signal_process", "write_stdin", "close_stdin"), refusal)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_exit_soon, scripted)
                if verb == "signal":
                    assert (await process.signal(10)).processes == 0
                elif verb == "write":
                    assert await process.write(b"x") == 0
                else:
                    await process.close_stdin()
        # of one that lives the refusal is the caller's to know
        async with exec_in(Polls.NEVER, PLAIN) as (guest, _, process, _):
            guest.failures["signal_process"] = refusal
            with pytest.raises(type(refusal)):
                await process.signal(10)
            del guest.failures["signal_process"]


async def test_an_agent_that_says_that_a_process_has_ended_is_taken_at_its_word(autojump_clock: MockClock) -> None:
    async with exec_in(Polls.NEVER) as (guest, _, process, one):
        guest.failures["signal_process"] = NotFound("it has ended", process="e1")
        assert (await process.signal(10)).processes == 0
        assert (await one.signal(10, all_processes=True)).processes == 0
        del guest.failures["signal_process"]


async def test_a_refusal_of_an_agent_that_tells_ends_is_passed_on_at_once(autojump_clock: MockClock) -> None:
    async with exec_in(Polls.NEVER, PLAIN) as (guest, _, process, one):
        guest.tells_ended = True
        guest.failures |= dict.fromkeys(
            ("signal_process", "write_stdin", "close_stdin", "pause_container"), AgentError("no")
        )
        began = trio.current_time()
        asked = (partial(process.signal, 10), partial(process.write, b"x"), process.close_stdin, one.pause)
        for ask in asked:
            with pytest.raises(AgentError):
                await ask()
        assert trio.current_time() == began
        guest.failures.clear()


async def test_a_resize_of_what_has_ended_says_so(autojump_clock: MockClock) -> None:
    async with exec_in(Polls.NEVER) as (guest, scripted, process, _), trio.open_nursery() as nursery:
        guest.failures["winsize_process"] = AgentError("EIO")
        nursery.start_soon(_exit_soon, scripted)
        with pytest.raises(NotFound, match="has ended"):
            await process.winsize(1, 2)


@pytest.mark.parametrize("verb", ["exec", "pause", "stats", "update"])
async def test_what_is_refused_in_a_container_that_has_ended_is_told_by_its_state(
    verb: str, autojump_clock: MockClock
) -> None:
    failures = dict.fromkeys(("exec_process", "pause_container", "stats_container"), AgentError("EINVAL"))
    guest = ScriptedGuest(failures={**failures, "update_container": Unsupported("no")})
    async with one_running(guest) as one, trio.open_nursery() as nursery:
        nursery.start_soon(_exit_soon, guest.init("one"))
        if verb == "update":
            # an error of its own is one, whatever has ended
            with pytest.raises(Unsupported):
                await one.update(ResourceSpec(pids=9))
            return
        askings: dict[str, Callable[[], Awaitable[object]]] = {
            "exec": partial(one.exec, "e1", PLAIN),
            "pause": one.pause,
            "stats": one.stats,
        }
        with pytest.raises(InvalidTransition):
            await askings[verb]()


async def _exit_soon(process: ScriptedProcess) -> None:
    await trio.sleep(0.1)
    process.exit(3)
