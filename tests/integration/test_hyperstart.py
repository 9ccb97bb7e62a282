"""hyperstart for real: agent and guest over two unix sockets, with containers of each engine of this machine."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import trio

from actors.agents.hyperstart.agent import HyperstartAgent
from actors.agents.hyperstart.link import HyperstartLink
from actors.errors import GuestDied, OutcomeUnknown
from actors.guest.executor import Executor
from actors.guest.model import GuestModel
from actors.guest.platform import BarePlatform
from actors.guest.services.hyperstart import HyperstartService
from actors.limits import DEFAULT_LIMITS
from actors.node.facts import missing_for, read_facts
from actors.nurseries import open_collapsing_nursery
from actors.wire.spec import ContainerSpec, ExitStatus, ProcessSpec, SandboxSpec, TerminalSize
from actors.words import RUNTIMES
from tests.support.rooms import in_a_room
from transports.stream import serve_unix, unix_dialer

if TYPE_CHECKING:
    from actors.guest.engines.base import Engine
    from tests.support.rooms import Room

FACTS = read_facts()
LOOP = "while true; do sleep 0.05; done"


class Started:
    """An engine that runs already; the room has seen to that."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep_forever()


def socket_directory() -> Path:
    """In the room, which ends with it."""
    path = Path("sockets").absolute()
    path.mkdir(mode=0o700)
    return path


async def whole_life(room: Room) -> None:
    sockets = socket_directory()
    control, streams = str(sockets / "hyper.sock"), str(sockets / "tty.sock")
    executor = Executor(cast("Engine", Started(room.engine)), GuestModel(), DEFAULT_LIMITS)
    bugs: list[Exception] = []
    service = HyperstartService(
        executor, DEFAULT_LIMITS, platform=BarePlatform(), share="/", on_error=lambda _, __, error: bugs.append(error)
    )
    link = HyperstartLink(unix_dialer(control), unix_dialer(streams), DEFAULT_LIMITS)
    agent = HyperstartAgent(link, DEFAULT_LIMITS, share="/")
    async with open_collapsing_nursery() as nursery:
        await nursery.start(executor.run)
        await nursery.start(service.run)
        await nursery.start(serve_unix, control, service.serve_control)
        await nursery.start(serve_unix, streams, service.serve_streams)
        await nursery.start(agent.run)
        await agent.create_sandbox("box", SandboxSpec())
        assert (await agent.check()).serving
        await streams_and_codes(agent.lease(), room.root)
        await signals(agent.lease(), room.root)
        await terminal(agent.lease(), room.root)
        # one that ignores a polite signal is left to the end
        await begin(agent.lease(), "last", room.root, f"trap '' TERM; {LOOP}")
        await agent.destroy_sandbox()
        assert not executor.model.containers
        assert not bugs
        with pytest.raises(GuestDied):
            await agent.check()
        nursery.cancel_scope.cancel()


async def begin(agent: HyperstartAgent, name: str, root: str, script: str, *, tty: bool = False) -> None:
    size = TerminalSize(24, 80) if tty else None
    process = ProcessSpec(args=("sh", "-c", script), tty=tty, size=size)
    await agent.create_container(name, ContainerSpec(process=process), root)
    await agent.start_container(name)


async def until(agent: HyperstartAgent, name: str, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        data = await agent.read_stdout(name, name, 1 << 16)
        assert data, seen
        seen += data


async def streams_and_codes(agent: HyperstartAgent, root: str) -> None:
    await begin(agent, "cat", root, "echo err >&2; cat; exit 5")
    data = bytes(range(256)) * 1024
    assert await agent.write_stdin("cat", "cat", data) == len(data)
    await agent.close_stdin("cat", "cat")
    seen = b""
    while piece := await agent.read_stdout("cat", "cat", 1 << 20):
        seen += piece
    assert seen == data
    assert await agent.read_stderr("cat", "cat", 100) == b"err\n"
    assert await agent.wait_process("cat", "cat") == ExitStatus(5)
    await agent.remove_container("cat")


async def signals(agent: HyperstartAgent, root: str) -> None:
    await begin(agent, "trap", root, f'trap "exit 3" TERM; echo up; {LOOP}')
    await until(agent, "trap", b"up\n")
    await agent.exec_process("trap", "e1", ProcessSpec(args=("sh", "-c", "exit 7")))
    assert await agent.wait_process("trap", "e1") == ExitStatus(7)
    await agent.exec_process("trap", "e2", ProcessSpec(args=("sleep", "1000")))
    await agent.signal_process("trap", "e2", signal.SIGTERM)
    with pytest.raises(OutcomeUnknown, match="after signal 15"):
        await agent.wait_process("trap", "e2")
    await agent.exec_process("trap", "e3", ProcessSpec(args=("no-such-program",)))
    assert await agent.wait_process("trap", "e3") == ExitStatus(127)
    await agent.signal_process("trap", "trap", signal.SIGTERM)
    assert await agent.wait_process("trap", "trap") == ExitStatus(3)
    await agent.remove_container("trap")


async def terminal(agent: HyperstartAgent, root: str) -> None:
    await begin(agent, "tty", root, f"trap 'stty size' WINCH; echo up; {LOOP}", tty=True)
    await until(agent, "tty", b"up")
    await agent.winsize_process("tty", "tty", TerminalSize(41, 121))
    await until(agent, "tty", b"41 121")
    await agent.remove_container("tty")


@pytest.mark.parametrize("engine", [*RUNTIMES, "processes"])
def test_a_sandbox_s_whole_life(engine: str) -> None:
    if engine != "processes" and (missing := missing_for(FACTS, engine)):
        pytest.skip(missing)
    in_a_room(engine, whole_life)
