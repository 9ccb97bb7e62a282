"""The hyperstart agent against our own guest over the simulated engine: each verb with what comes of it, and each way
in which a guest of this kind leaves its host in the dark."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import memory_stream_pair

from actors.agents.hyperstart.agent import HyperstartAgent
from actors.agents.hyperstart.link import HyperstartLink
from actors.errors import (
    AgentError,
    AgentUnreachable,
    AlreadyExists,
    GuestDied,
    InvalidArgument,
    InvalidTransition,
    NotFound,
    OutcomeUnknown,
    Unsupported,
)
from actors.lifecycle.container import ContainerState
from actors.limits import DEFAULT_LIMITS
from actors.wire.spec import ContainerSpec, ExitStatus, MountSpec, ProcessSpec, ResourceSpec, SandboxSpec, TerminalSize
from tests.support.hyperstart_guest import open_agent, open_guest
from transports.hyperstart.codec import Code, encode_control, encode_stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LOOP = "while true; do sleep 0.1; done"


def container(*args: str, tty: bool = False) -> ContainerSpec:
    return ContainerSpec(process=ProcessSpec(args=args, tty=tty, size=TerminalSize(24, 80) if tty else None))


async def run(agent: HyperstartAgent, name: str, script: str) -> HyperstartAgent:
    """A lease with a running container."""
    lease = agent.lease()
    await lease.create_container(name, container("sh", "-c", script), "/")
    await lease.start_container(name)
    return lease


async def drain(read: Callable[[str, str, int], Awaitable[bytes]], name: str, process: str) -> bytes:
    seen = b""
    while data := await read(name, process, 1 << 20):
        seen += data
    return seen


async def until(agent: HyperstartAgent, name: str, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        data = await agent.read_stdout(name, name, 1 << 20)
        assert data, seen
        seen += data


async def test_output_exit_codes_and_input_of_init_and_exec(autojump_clock: trio.testing.MockClock) -> None:
    async with open_guest() as guest, open_agent(guest) as agent:
        await agent.create_sandbox("box", SandboxSpec())
        assert (await agent.check()).agent_version == "hyperstart API 4244"
        one = await run(agent, "c1", "echo out; echo err >&2; cat; exit 5")
        assert await one.write_stdin("c1", "c1", b"x" * 3000) == 3000
        await one.close_stdin("c1", "c1")
        await one.close_stdin("c1", "c1")
        assert await one.write_stdin("c1", "c1", b"late") == 0
        assert await drain(one.read_stdout, "c1", "c1") == b"out\n" + b"x" * 3000
        assert await drain(one.read_stderr, "c1", "c1") == b"err\n"
        assert await one.wait_process("c1", "c1") == ExitStatus(5)
        assert await one.container_state("c1") is ContainerState.STOPPED
        await one.remove_container("c1")
        two = await run(agent, "c1", LOOP)
        await two.exec_process("c1", "e1", ProcessSpec(args=("sh", "-c", "echo hi; exit 7")))
        assert await drain(two.read_stdout, "c1", "e1") == b"hi\n"
        assert await two.wait_process("c1", "e1") == ExitStatus(7)
        # as often as it is asked
        assert await two.wait_process("c1", "e1") == ExitStatus(7)


async def test_neighbours_share_the_link_and_nothing_else(autojump_clock: trio.testing.MockClock) -> None:
    async with open_guest() as guest, open_agent(guest) as agent:
        await agent.create_sandbox("box", SandboxSpec())
        one, two = await run(agent, "c1", LOOP), await run(agent, "c2", LOOP)
        async with trio.open_nursery() as nursery:
            for number in range(10):
                lease, name = ((one, "c1"), (two, "c2"))[number % 2]
                # the same names in both containers
                spec = ProcessSpec(args=("sh", "-c", f"exit {number}"))
                nursery.start_soon(lease.exec_process, name, f"e{number // 2}", spec)
        for number in range(10):
            lease, name = ((one, "c1"), (two, "c2"))[number % 2]
            assert await lease.wait_process(name, f"e{number // 2}") == ExitStatus(number)
        await one.remove_container("c1")
        assert await two.container_state("c2") is ContainerState.RUNNING


async def test_status_0_after_our_signal_is_unknown_and_names_it(autojump_clock: trio.testing.MockClock) -> None:
    async with open_guest() as guest, open_agent(guest) as agent:
        await agent.create_sandbox("box", SandboxSpec())
        one = await run(agent, "c1", LOOP)
        await one.exec_process("c1", "e1", ProcessSpec(args=("sleep", "100")))
        await one.signal_process("c1", "e1", signal.SIGTERM)
        with pytest.raises(OutcomeUnknown) as told:
            await one.wait_process("c1", "e1")
        assert told.value.details["signal"] == signal.SIGTERM
        # to one that has ended: fine
        await one.signal_process("c1", "e1", signal.SIGTERM)
        await one.exec_process("c1", "e2", ProcessSpec(args=("sleep", "100")))
        await one.kill_all("c1")
        for process in ("c1", "e2"):
            with pytest.raises(OutcomeUnknown, match="after signal 9"):
                await one.wait_process("c1", process)


async def test_a_code_like_a_death_s_is_a_fact_when_nobody_sent_that_signal(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_guest() as guest, open_agent(guest) as agent:
        await agent.create_sandbox("box", SandboxSpec())
        one = await run(agent, "c1", LOOP)
        for code in (128 + signal.SIGKILL, 128 + signal.SIGTERM):
            await one.exec_process("c1", f"e{code}", ProcessSpec(args=("sh", "-c", f"exit {code}")))
            assert await one.wait_process("c1", f"e{code}") == ExitStatus(code)


async def test_programs_see_the_pod_s_name(autojump_clock: trio.testing.MockClock) -> None:
    async with open_guest() as guest, open_agent(guest) as agent:
        await agent.create_sandbox("box", SandboxSpec(hostname="tower"))
        one = await run(agent, "c1", "hostname")
        assert await drain(one.read_stdout, "c1", "c1") == b"tower\n"


async def test_a_handler_s_exit_code_and_output_after_a_signal_are_facts(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_guest() as guest, open_agent(guest) as agent:
        await agent.create_sandbox("box", SandboxSpec())
        one = await run(agent, "c1", f'trap "exit 3" TERM; echo up; {LOOP}')
        await until(one, "c1", b"up\n")
        await one.signal_process("c1", "c1", signal.SIGTERM)
        assert await one.wait_process("c1", "c1") == ExitStatus(3)
        two = await run(agent, "c2", f'trap "echo bye; exit 0" TERM; echo up; {LOOP}')
        await until(two, "c2", b"up\n")
        await two.signal_process("c2", "c2", signal.SIGTERM)
        assert await two.wait_process("c2", "c2") == ExitStatus(0)


async def test_a_terminal_has_its_size_from_the_start_and_takes_another(autojump_clock: trio.testing.MockClock) -> None:
    async with open_guest() as guest, open_agent(guest) as agent:
        await agent.create_sandbox("box", SandboxSpec())
        one = agent.lease()
        script = "trap 'stty size' WINCH; while true; do sleep 0.05; done"
        await one.create_container("c1", container("sh", "-c", script, tty=True), "/")
        await one.start_container("c1")
        await one.winsize_process("c1", "c1", TerminalSize(41, 121))
        await until(one, "c1", b"41 121")
        await one.exec_process("c1", "e1", ProcessSpec(args=("sleep", "9")))
        with pytest.raises(InvalidTransition):
            await one.winsize_process("c1", "e1", TerminalSize(1, 1))
        assert await one.read_stderr("c1", "c1", 10) == b""


async def test_one_that_waits_to_be_started_is_the_host_s_alone(autojump_clock: trio.testing.MockClock) -> None:
    async with open_guest() as guest, open_agent(guest) as agent:
        await agent.create_sandbox("box", SandboxSpec())
        one = agent.lease()
        await one.create_container("c1", container("true"), "/")
        assert await one.container_state("c1") is ContainerState.READY
        with pytest.raises(AlreadyExists):
            await one.create_container("c1", container("true"), "/")
        with pytest.raises(InvalidTransition):
            await one.exec_process("c1", "e1", ProcessSpec(args=("true",)))
        await one.kill_all("c1")
        assert await one.wait_process("c1", "c1") == ExitStatus(137)
        with pytest.raises(InvalidTransition):
            await one.start_container("c1")
        await one.remove_container("c1")
        with pytest.raises(NotFound):
            await one.remove_container("c1")


async def test_a_missing_program_ends_with_127_as_there(autojump_clock: trio.testing.MockClock) -> None:
    async with open_guest() as guest, open_agent(guest) as agent:
        await agent.create_sandbox("box", SandboxSpec())
        one = await run(agent, "c1", LOOP)
        await one.exec_process("c1", "e1", ProcessSpec(args=("no-such-program",)))
        assert b"no-such-program" in await drain(one.read_stderr, "c1", "e1")
        assert await one.wait_process("c1", "e1") == ExitStatus(127)
        assert await one.container_state("c1") is ContainerState.RUNNING


async def test_what_can_t_be_carried_is_refused_by_name(autojump_clock: trio.testing.MockClock) -> None:
    async with open_guest() as guest, open_agent(guest) as agent:
        await agent.create_sandbox("box", SandboxSpec())
        process = ProcessSpec(args=("true",))
        with pytest.raises(Unsupported) as told:
            await agent.create_container(
                "c1", ContainerSpec(process=process, mounts=(MountSpec(source="/a", destination="/b"),)), "/"
            )
        assert told.value.details["field"] == "mounts"
        with pytest.raises(Unsupported) as told:
            await agent.create_container("c1", ContainerSpec(process=process, resources=ResourceSpec(pids=1)), "/")
        assert told.value.details["field"] == "resources"
        with pytest.raises(InvalidArgument):
            await agent.create_container("hyperstart", container("true"), "/")
        for verb in (agent.pause_container, agent.resume_container, agent.stats_container, agent.list_pids):
            with pytest.raises(Unsupported):
                await verb("c1")


async def test_a_sandbox_s_end_kills_what_ignores_a_polite_signal(autojump_clock: trio.testing.MockClock) -> None:
    async with open_guest() as guest, open_agent(guest) as agent:
        await agent.create_sandbox("box", SandboxSpec())
        one = await run(agent, "c1", f"trap '' TERM; echo up; {LOOP}")
        await until(one, "c1", b"up\n")
        await agent.destroy_sandbox()
        assert not guest.executor.model.containers
        with pytest.raises(GuestDied):
            await agent.check()


async def test_a_dead_reader_fails_all_that_wait(autojump_clock: trio.testing.MockClock) -> None:
    async with open_guest() as guest, open_agent(guest) as agent:
        await agent.create_sandbox("box", SandboxSpec())
        one = await run(agent, "c1", LOOP)
        failed: list[type[Exception]] = []

        async def wait() -> None:
            try:
                await one.wait_process("c1", "c1")
            except GuestDied as error:
                failed.append(type(error))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await guest.die()
        assert failed == [GuestDied, GuestDied]
        assert await one.read_stdout("c1", "c1", 10) == b""
        with pytest.raises(GuestDied):
            await one.check()


class Scripted:
    """A guest that a test plays by hand."""

    def __init__(self) -> None:
        ours, self.control = memory_stream_pair()
        streams, self.streams = memory_stream_pair()

        async def dial_control() -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            return ours

        async def dial_streams() -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            return streams

        self.link = HyperstartLink(dial_control, dial_streams, DEFAULT_LIMITS)

    async def greet(self) -> None:
        await self.control.send_all(encode_control(Code.READY))
        await self.control.receive_some()
        await self.control.send_all(encode_control(Code.ACK, (4244).to_bytes(4)))


async def test_a_command_without_an_answer_ends_the_link_and_says_unknown(
    autojump_clock: trio.testing.MockClock,
) -> None:
    guest = Scripted()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(guest.greet)
        await nursery.start(guest.link.run)
        process = guest.link.open_process("c1", "", terminal=False)
        with pytest.raises(OutcomeUnknown, match="not answered"):
            await guest.link.command(Code.PING)
        with pytest.raises(GuestDied):
            await guest.link.command(Code.PING)
        with pytest.raises(GuestDied):
            await process.wait()
        nursery.cancel_scope.cancel()


async def test_an_end_is_known_when_both_channels_have_told_it(autojump_clock: trio.testing.MockClock) -> None:
    guest = Scripted()
    event = b'{"container":"c1","process":"init","event":"finished","status":4}'
    async with trio.open_nursery() as nursery:
        nursery.start_soon(guest.greet)
        await nursery.start(guest.link.run)
        process = guest.link.open_process("c1", "", terminal=False)
        await guest.control.send_all(encode_control(Code.PROCESSASYNCEVENT, event))
        with trio.move_on_after(5) as waiting:
            await process.wait()
        assert waiting.cancelled_caught
        await guest.streams.send_all(encode_stream(process.stdio, b"last") + encode_stream(process.stdio, b""))
        assert await process.wait() == ExitStatus(4)
        assert await process.read(process.stdio, 100) == b"last"
        nursery.cancel_scope.cancel()


async def test_what_says_no_ready_is_no_hyperstart(autojump_clock: trio.testing.MockClock) -> None:
    guest = Scripted()
    with pytest.raises(AgentUnreachable, match="READY"):
        await guest.link.run()


async def test_who_gives_up_waits_no_longer_and_its_answer_is_not_the_next_one_s(
    autojump_clock: trio.testing.MockClock,
) -> None:
    guest = Scripted()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(guest.greet)
        await nursery.start(guest.link.run)
        began = trio.current_time()
        with trio.move_on_after(1) as first:
            await guest.link.command(Code.PING)
        # one more waits for its turn, and is not sent once nobody wants it
        with trio.move_on_after(1) as second:
            await guest.link.command(Code.KILLCONTAINER, b"{}")
        assert first.cancelled_caught
        assert second.cancelled_caught
        assert trio.current_time() - began == pytest.approx(2)
        assert await guest.control.receive_some() == encode_control(Code.PING)
        versions: list[bytes] = []

        async def ask() -> None:
            versions.append((await guest.link.command(Code.GETVERSION)).payload)

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        await guest.control.send_all(encode_control(Code.ACK))
        assert await guest.control.receive_some() == encode_control(Code.GETVERSION)
        await guest.control.send_all(encode_control(Code.ACK, (4244).to_bytes(4)))
        await trio.testing.wait_all_tasks_blocked()
        assert versions == [(4244).to_bytes(4)]
        nursery.cancel_scope.cancel()


async def test_a_refusal_that_came_of_an_end_is_told_as_that(autojump_clock: trio.testing.MockClock) -> None:
    """A guest refuses from the init's death on, and tells its end once the others have ended too."""
    guest = Scripted()
    ended = b'{"container":"c1","process":"init","event":"finished","status":0}'
    codes: list[int] = []

    async def play() -> None:
        await guest.greet()
        for refuses in (False, False, True, True):
            codes.append(int.from_bytes((await guest.control.receive_some())[:4]))
            await guest.control.send_all(encode_control(Code.ERROR if refuses else Code.ACK))
        await trio.sleep(3)
        await guest.control.send_all(encode_control(Code.PROCESSASYNCEVENT, ended))
        await guest.streams.send_all(encode_stream(1, b""))
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(play)
        agent = HyperstartAgent(guest.link, DEFAULT_LIMITS, share="/")
        await nursery.start(agent.run)
        spec = ContainerSpec(process=ProcessSpec(args=("sleep", "100")))
        await agent.create_container("c1", spec, "/")
        await agent.start_container("c1")
        await agent.signal_process("c1", "c1", signal.SIGTERM)

        async def exec_too_late() -> None:
            with pytest.raises(InvalidTransition, match="it has ended"):
                await agent.exec_process("c1", "e1", ProcessSpec(args=("true",)))

        nursery.start_soon(exec_too_late)
        await trio.testing.wait_all_tasks_blocked()
        # one that has ended is no error
        await agent.signal_process("c1", "c1", signal.SIGKILL)
        with pytest.raises(OutcomeUnknown):
            await agent.wait_process("c1", "c1")
        await trio.testing.wait_all_tasks_blocked()
        assert codes == [Code.NEWCONTAINER, Code.KILLCONTAINER, Code.EXECCMD, Code.KILLCONTAINER]
        nursery.cancel_scope.cancel()


async def test_a_guest_s_words_can_t_steer_a_terminal(autojump_clock: trio.testing.MockClock) -> None:
    guest = Scripted()

    async def play() -> None:
        await guest.greet()
        for answer in (encode_control(Code.ACK), encode_control(Code.ERROR, b"\x1b[2J\x07gone\x80\0")):
            await guest.control.receive_some()
            await guest.control.send_all(answer)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(play)
        agent = HyperstartAgent(guest.link, DEFAULT_LIMITS, share="/")
        await nursery.start(agent.run)
        await agent.create_container("c1", container("sleep", "100"), "/")
        await agent.start_container("c1")
        with pytest.raises(AgentError) as caught:
            await agent.signal_process("c1", "c1", signal.SIGTERM)
        assert caught.value.details["status"] == "\\x1b[2J\\x07gone\ufffd"
        assert caught.value.message == "KILLCONTAINER: the guest refused: \\x1b[2J\\x07gone\ufffd"
        nursery.cancel_scope.cancel()


async def test_the_answer_to_destroypod_is_there_before_any_channel_ends(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A host takes the end of either channel for the guest's, and would look no further."""
    heard: list[bytes] = []
    ends: list[str] = []

    async def listen(channel: str, stream: trio.abc.Stream) -> None:
        while data := await stream.receive_some():
            heard.append(bytes(data))
        ends.append(channel)

    async with open_guest() as guest, trio.open_nursery() as nursery:
        control, streams = await guest.dial_control(), await guest.dial_streams()
        nursery.start_soon(listen, "streams", streams)
        nursery.start_soon(listen, "control", control)
        await control.send_all(encode_control(Code.STARTPOD, b'{"hostname":"box"}'))
        await control.send_all(encode_control(Code.DESTROYPOD))
        # both end, whether or not the host goes
        await trio.sleep(DEFAULT_LIMITS.answer_grace_seconds + 1)
        assert b"".join(heard).endswith(encode_control(Code.ACK))
        assert ends == ["control", "streams"]


@pytest.mark.parametrize("spoken", [encode_stream(1, b"half a frame")[:-3], b"\xff" * 12, b"GET / HTTP/1.1\r\n\r\n"])
async def test_what_one_host_spoke_on_the_stream_channel_is_not_the_next_one_s(
    spoken: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_guest() as guest:
        bad = await guest.dial_streams()
        await bad.send_all(spoken)
        await trio.testing.wait_all_tasks_blocked()
        await bad.aclose()
        async with open_agent(guest) as agent:
            await agent.create_sandbox("box", SandboxSpec())
            one = await run(agent, "c1", "cat; exit 5")
            await one.write_stdin("c1", "c1", b"heard")
            await one.close_stdin("c1", "c1")
            with trio.fail_after(5):
                assert await drain(one.read_stdout, "c1", "c1") == b"heard"
                assert await one.wait_process("c1", "c1") == ExitStatus(5)
