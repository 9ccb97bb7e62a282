"""The processes of a container as its callers have them: states, signals, lost reads. Over the scripted guest, in virtual time."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.errors import (
    AgentError,
    AgentUnreachable,
    GuestDied,
    InvalidArgument,
    InvalidTransition,
    NotFound,
    OutcomeUnknown,
    ResourceExhausted,
)
from actors.handles import SandboxHandle
from actors.lifecycle.container import CONTAINER, ContainerState
from actors.wire.sandbox_verbs import CopyFile
from actors.wire.spec import ContainerSpec, ProcessSpec, Stopped
from actors.wire.verbs import Nothing, Signal, Signalled
from tests.support.agents import ScriptedGuest, one_running, scripted_system

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

    from actors.errors import KatrioError
    from actors.handles import ContainerHandle

SH = ProcessSpec(args=("sh",))
TERMINAL = ContainerSpec(process=ProcessSpec(args=("sh",), tty=True))
ASKED: dict[str, Callable[[ContainerHandle], Awaitable[object]]] = {
    "winsize": lambda one: one.init.winsize(24, 80),
    "write_stdin": lambda one: one.init.write(b"x"),
    "close_stdin": lambda one: one.init.close_stdin(),
    "signal": lambda one: one.signal(signal.SIGUSR1),
}


@pytest.mark.parametrize("verb", ASKED)
@pytest.mark.parametrize("state", ["ready", "running", "paused", "stopped", "lost"])
async def test_what_is_asked_of_a_process_keeps_to_its_containers_state(
    state: str, verb: str, autojump_clock: MockClock
) -> None:
    guest = ScriptedGuest()
    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        await box.start()
        one = await box.create_container("one", TERMINAL)
        if state != "ready":
            await one.start()
        match state:
            case "paused":
                await one.pause()
            case "stopped":
                await one.stop()
            case "lost":
                guest.die()
                await trio.testing.wait_all_tasks_blocked()
            case _:
                pass
        assert (await one.info()).state == state
        before = dict(guest.calls)
        # one whose end is known is signalled no more, and that is no error
        if ContainerState(state) in CONTAINER.verbs[verb] or (verb == "signal" and state in ("stopped", "lost")):
            await ASKED[verb](one)
        else:
            with pytest.raises(GuestDied if state == "lost" else InvalidTransition):
                await ASKED[verb](one)
            assert dict(guest.calls) == before


async def test_a_signal_to_all_reaches_who_runs_and_the_init_last(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with one_running(guest) as one:
        for name in ("e1", "e2", "e3"):
            await one.exec(name, SH)
        guest.processes["one", "e2"].exit(0)
        await one.process("e2").wait()
        assert (await one.signal(signal.SIGTERM, all_processes=True)).processes == 3
        names = [process for _, process, _ in guest.signalled]
        assert sorted(names) == ["e1", "e3", "one"]
        # with its init the container ends, and who had no signal yet would be killed
        assert names[-1] == "one"


async def test_a_signal_is_for_one_or_for_all(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with one_running(guest) as one:
        await one.exec("e1", SH)
        with pytest.raises(InvalidArgument, match="exclude each other") as caught:
            await one.client.ask(one.address, "signal", Signal(signal.SIGUSR1, "e1", all=True), Signalled)
        assert caught.value.details["field"] == "process"
        assert (await one.process("e1").signal(signal.SIGUSR1)).processes == 1
        assert guest.signalled == [("one", "e1", signal.SIGUSR1)]


async def test_a_missing_process_is_told_with_those_that_there_are(autojump_clock: MockClock) -> None:
    async with one_running(ScriptedGuest()) as one:
        with pytest.raises(NotFound, match="none but its init"):
            await one.process("e1").wait()
        for number in range(22):
            await one.exec(f"e{number:02}", SH)
        with pytest.raises(NotFound, match=r"e00, e01, .*, e19 and 2 more$") as caught:
            await one.process("nobody").wait()
        assert caught.value.details["process"] == "nobody"


@pytest.mark.parametrize(
    ("failure", "gap"),
    [
        (OutcomeUnknown("the link broke under it"), 1),
        (AgentUnreachable("it was never asked"), 0),
        (ResourceExhausted("dropped unread", lost=7), 7),
    ],
    ids=["lost with its link", "not sent", "the guest has dropped some"],
)
async def test_a_read_that_fails_is_a_gap_where_bytes_may_be_missing_and_the_next_goes_on(
    failure: KatrioError, gap: int, autojump_clock: MockClock
) -> None:
    guest = ScriptedGuest()
    async with one_running(guest) as one:
        process = guest.init("one")
        process.write(b"before")
        process.fail_read(failure)
        process.write(b"after")
        process.exit(0)
        async with one.init.open_stdout() as parts:
            told = [(part.offset, part.data, part.gap) async for part in parts]
        assert b"".join(data for _, data, _ in told) == b"beforeafter"
        assert sum(number for _, _, number in told) == gap
        completed = await one.init.wait()
        assert completed.code == 0


async def test_a_read_that_fails_for_good_is_the_end_of_that_output(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with one_running(guest) as one:
        process = guest.init("one")
        process.write(b"before")
        process.fail_read(AgentError("broken"))
        process.write(b"never read")
        async with one.init.open_stdout() as parts:
            assert [part.data async for part in parts] == [b"before"]


async def test_an_agent_that_runs_nothing_ends_at_once_with_code_0(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(follows_processes=False)
    async with one_running(guest) as one:
        assert await one.stop(force=True) == Stopped(0)
        assert await one.stop() == Stopped(0)


@pytest.mark.parametrize(
    ("field", "args"),
    [
        ("size", {"size": -1}),
        ("offset", {"offset": 11}),
        ("data", {"data": b""}),
        ("data", {"data": bytes(11)}),
        ("data", {"offset": 8, "data": b"abc"}),
        ("data", {"size": 0, "data": b"x"}),
    ],
)
async def test_a_piece_of_a_file_lies_within_the_file(
    field: str, args: dict[str, object], autojump_clock: MockClock
) -> None:
    guest = ScriptedGuest()
    async with one_running(guest) as one:
        piece = {"path": "file", "size": 10, "offset": 0, "data": b"abc", **args}
        with pytest.raises(InvalidArgument) as caught:
            await one.client.ask("box", "copy_file", piece, Nothing)
        assert caught.value.details["field"].partition("'")[0] == field
        assert guest.calls["copy_file"] == 0
        for right in (CopyFile(path="file", size=10, offset=7, data=b"abc"), CopyFile(path="file", size=0, data=b"")):
            await one.client.ask("box", "copy_file", right, Nothing)
        assert guest.calls["copy_file"] == 2
        assert (await SandboxHandle(one.client, "box").info()).state == "running"
