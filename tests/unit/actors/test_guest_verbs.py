"""The verbs that ask a guest about itself and its containers, over the scripted guest, in virtual time."""

from __future__ import annotations

import inspect
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from actors.agents.base import AgentConnection
from actors.errors import AgentError, InvalidArgument, InvalidTransition, Unsupported
from actors.limits import DEFAULT_LIMITS
from actors.wire.sandbox_verbs import SANDBOX_VERBS
from actors.wire.spec import ContainerSpec, ProcessSpec, ResourceSpec
from actors.wire.verbs import CONTAINER_VERBS, Nothing
from tests.support.agents import ScriptedGuest, ScriptedProcess, scripted_system

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from actors.handles import ContainerHandle, SandboxHandle

SPEC = ContainerSpec(process=ProcessSpec(args=("sh",)))
NO_CALL = {"list_pids": Unsupported("no such call"), "list_table": Unsupported("no such call")}


@asynccontextmanager
async def a_container(guest: ScriptedGuest) -> AsyncGenerator[tuple[SandboxHandle, ContainerHandle]]:
    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        await box.start()
        one = await box.create_container("one", SPEC)
        await one.start()
        yield box, one


def ps(output: bytes, code: int = 0) -> ScriptedGuest:
    """A guest whose agent has no ListProcesses, and whose every exec prints that."""

    def run(spec: ProcessSpec, process: ScriptedProcess) -> None:
        assert spec.args[:2] == ("sh", "-c")
        process.write(output)
        process.exit(code)

    return ScriptedGuest(failures=dict(NO_CALL), on_exec=run)


async def test_an_agent_that_lists_is_asked_for_what_is_wanted_and_nothing_is_run(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_container(guest) as (_, one):
        assert await one.list_processes() == (1,)
        assert (guest.calls["list_pids"], guest.calls["list_table"]) == (1, 0)
        assert await one.process_table() == "PID\n1\n"
        assert (guest.calls["list_pids"], guest.calls["list_table"]) == (1, 1)
        assert guest.calls["exec_process"] == 0


async def test_without_a_call_of_the_agent_ps_lists_in_the_container_and_leaves_itself_out(
    autojump_clock: MockClock,
) -> None:
    guest = ps(b"41\nPID   USER COMMAND\n    1 root sleep\n   41 root ps\n  410 root true\n")
    async with a_container(guest) as (_, one):
        assert await one.list_processes() == (1, 410)
        assert await one.process_table("-ef") == "PID   USER COMMAND\n    1 root sleep\n  410 root true\n"
        assert (await one.info()).children == (), "what is run for it is no process of the caller's"


async def test_wherever_the_pid_stands_in_the_table_its_own_row_is_left_out(autojump_clock: MockClock) -> None:
    header, others = b"UID        PID  PPID CMD\n", b"root         1     0 sleep 41\nroot       410    41 true\n"
    guest = ps(b"41\n" + header + b"root        41     1 ps -ef\n" + others)
    async with a_container(guest) as (_, one):
        assert await one.process_table() == (header + others).decode()


@pytest.mark.parametrize(
    ("output", "code", "error", "says"),
    [
        (b"41\n", 127, Unsupported, "no ps"),
        (b"41\n", 1, InvalidArgument, "ended with 1"),
        (b"41\nUSER COMMAND\nroot sleep\n", 0, AgentError, "no column PID"),
    ],
)
async def test_a_ps_that_can_not_answer_is_told_apart(
    output: bytes, code: int, error: type[Exception], says: str, autojump_clock: MockClock
) -> None:
    async with a_container(ps(output, code)) as (_, one):
        with pytest.raises(error, match=says):
            await one.process_table("-zz")


async def test_nothing_is_run_in_a_frozen_container_to_list_it(autojump_clock: MockClock) -> None:
    guest = ps(b"")
    async with a_container(guest) as (_, one):
        await one.pause()
        with pytest.raises(InvalidTransition, match="resume it first"):
            await one.list_processes()
        assert guest.calls["exec_process"] == 0


async def test_an_oom_kill_reaches_subscribers_and_is_counted(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_container(guest) as (box, one), box.open_events() as events:
        # the two that tell what is the case
        assert [(await anext(events)).event.source for _ in range(2)] == ["box", "box/one"]
        # a container that there is none of is nobody's
        guest.ooms.append("nobody")
        guest.kill_for_memory("one")
        kinds = [(seen.event.source, seen.event.kind) for seen in [await anext(events) for _ in range(2)]]
        assert ("box/one", "oom") in kinds
        assert (await one.init.wait()).code == 137
        assert (await one.info()).oom_kills == 1


async def test_an_agent_that_fails_the_watch_at_once_is_not_asked_in_a_busy_loop(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(failures={"next_oom": AgentError("no")})
    async with a_container(guest):
        await trio.sleep(10)
        assert guest.calls["next_oom"] <= 12


@pytest.mark.parametrize(
    ("field", "verb", "args"),
    [
        ("microseconds", "set_guest_time", (1, 1_000_000)),
        ("seconds", "set_guest_time", (-1,)),
        ("data", "reseed_random", (b"",)),
        ("data", "reseed_random", (bytes(513),)),
        ("cpus", "online_cpu_mem", (0,)),
        ("path", "copy_file", ("../x", b"y")),
        ("path", "copy_file", ("a/../../x", b"y")),
    ],
)
async def test_what_is_out_of_bounds_is_refused_before_the_agent_is_asked(
    field: str, verb: str, args: tuple[object, ...], autojump_clock: MockClock
) -> None:
    guest = ScriptedGuest()
    async with a_container(guest) as (box, _):
        before = dict(guest.calls)
        with pytest.raises(InvalidArgument, match=field) as caught:
            await getattr(box, verb)(*args)
        assert caught.value.details["field"] == field
        assert dict(guest.calls) == before


async def test_a_large_file_goes_in_pieces(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_container(guest) as (box, _):
        await box.copy_file("empty", b"")
        assert guest.calls["copy_file"] == 1
        await box.copy_file("large", bytes(DEFAULT_LIMITS.chunk_bytes * 3))
        assert guest.calls["copy_file"] == 4


async def test_a_stopped_container_has_no_stats_and_takes_no_limits(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_container(guest) as (_, one):
        await one.update(ResourceSpec(pids=7))
        await one.stats()
        await one.stop()
        with pytest.raises(InvalidTransition):
            await one.update(ResourceSpec(pids=7))
        with pytest.raises(InvalidTransition):
            await one.stats()
        with pytest.raises(InvalidTransition):
            await one.list_processes()


def test_every_plain_verb_is_a_method_of_agents_that_takes_its_arguments_and_returns_its_answer() -> None:
    for suffix, table in (("", SANDBOX_VERBS), ("_container", CONTAINER_VERBS)):
        for verb in table.values():
            if not verb.plain:
                continue
            method = inspect.signature(getattr(AgentConnection, verb.name + suffix))
            takes = [] if verb.args is Nothing else [verb.args.__name__]
            assert [one.annotation for one in method.parameters.values()][1 + bool(suffix) :] == takes, verb.name
            assert method.return_annotation == ("None" if verb.result is Nothing else verb.result.__name__), verb.name
