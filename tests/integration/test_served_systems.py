"""A system that one program serves and others drive over a unix socket, on real containers."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from actors.api import connect_system, open_system
from actors.errors import AgentUnreachable, AlreadyExists, InvalidArgument, InvalidTransition
from actors.node.facts import choose_engine, read_facts
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.foreign import packb
from tests.support.raw_peer import a_raw_peer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

ENGINES = sorted({"processes", choose_engine(read_facts())[0]})
BOUND_SECONDS = 60


@asynccontextmanager
async def served(address: str, run_dir: Path, engine: str, agent: str = "kata") -> AsyncGenerator[trio.Process]:
    """Another program serves a system there; it ends in order."""
    command = [sys.executable, "-m", "tests.support.serve_program", address, str(run_dir), engine, agent]
    run = partial(trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with trio.fail_after(BOUND_SECONDS):
        async with trio.open_nursery() as nursery:
            process: trio.Process = await nursery.start(run)
            assert process.stdout is not None
            assert process.stdin is not None
            assert (await process.stdout.receive_some()).startswith(b"ready")
            yield process
            await process.stdin.aclose()


@pytest.mark.parametrize("engine", ENGINES)
async def test_two_programs_drive_the_system_of_a_third(engine: str, tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/own/server"
    async with served(address, tmp_path / "r", engine), connect_system(address) as one, connect_system(address) as two:
        box = await one.create_sandbox("box")
        await box.start()
        command = ProcessSpec(args=("sleep", "60"))
        sleeper = await box.create_container("sleeper", ContainerSpec(process=command))
        await sleeper.start()
        await two.sandbox("box").container("sleeper").pause()
        assert (await sleeper.info()).state == "paused"
        with pytest.raises(InvalidTransition, match="resume"):
            await sleeper.exec("hello", ProcessSpec(args=("true",)))
        await sleeper.resume()
        hello = await two.sandbox("box").container("sleeper").exec("hello", ProcessSpec(args=("echo", "hello")))
        assert (await hello.collect()).stdout == b"hello\n"
        assert (await two.info()).children == ("box",)


async def test_sandboxes_outlive_the_link_of_whoever_made_them(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/own/server"
    async with served(address, tmp_path / "r", "processes", "noop"):
        async with connect_system(address) as system:
            await (await system.create_sandbox("box")).start()
        async with connect_system(address) as system:
            assert (await system.sandbox("box").info()).state == "running"


async def test_a_system_that_ends_says_goodbye_and_later_asks_are_told_so(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/own/server"
    async with trio.open_nursery() as nursery:
        async with served(address, tmp_path / "r", "processes", "noop"):
            system = await nursery.start(_hold, address)
            await system.info()
        with pytest.raises(AgentUnreachable):
            await system.info(timeout=0.5)
        nursery.cancel_scope.cancel()


async def _hold(address: str, *, task_status: trio.TaskStatus[object]) -> None:
    async with connect_system(address) as system:
        task_status.started(system)
        await trio.sleep_forever()


async def test_an_address_that_can_not_be_is_told_in_our_own_errors(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="mutual TLS"):
        async with connect_system("tcp://127.0.0.1:9"):
            pass
    with pytest.raises(AgentUnreachable, match="nobody"):
        async with connect_system(f"ipc://{tmp_path}/nobody"):
            pass
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    with pytest.raises(InvalidArgument, match="700"):
        async with open_system(agent="noop", listen=f"ipc://{tmp_path}/open/server"):
            pass
    address = f"ipc://{tmp_path}/own/server"
    async with open_system(agent="noop", listen=address):
        with pytest.raises(AlreadyExists):
            async with open_system(agent="noop", listen=address):
                pass


async def test_an_ask_that_is_sent_ten_times_over_two_links_reaches_the_engine_once(tmp_path: Path) -> None:
    address, kept = f"ipc://{tmp_path}/own/server", tmp_path / "kept"
    async with served(address, tmp_path / "r", "processes"), connect_system(address) as system:
        box = await system.create_sandbox("box")
        await box.start()
        command = ProcessSpec(args=("sh", "-c", f"cat > {kept}"))
        writer = await box.create_container("writer", ContainerSpec(process=command))
        await writer.start()
        write = packb(["ask", 1, "box/writer", "write_stdin", {"data": b"x"}, 5000, 1])
        with a_raw_peer(address) as peer:
            peer.join("again")
            peer.send(*[write] * 5)
            first = await peer.until_heard("reply", 1)
        with a_raw_peer(address) as peer:
            peer.join("again")
            peer.send(*[write] * 5)
            assert await peer.until_heard("reply", 1) == first
        await writer.init.close_stdin()
        assert (await writer.init.wait()).code == 0
        assert await trio.Path(kept).read_bytes() == b"x"


async def test_events_of_a_real_container_arrive_as_they_happen(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/own/server"
    async with served(address, tmp_path / "r", ENGINES[-1]), connect_system(address) as system:
        box = await system.create_sandbox("box")
        await box.start()
        async with box.open_events() as events:
            command = ProcessSpec(args=("sh", "-c", "read line; exit 3"))
            job = await box.create_container("job", ContainerSpec(process=command))
            await job.start()
            await job.pause()
            await job.resume()
            await job.init.write(b"go\n")
            seen: list[str] = []
            while not seen or seen[-1] != "stopped":
                event = (await anext(events)).event
                seen.append(event.state or f"{event.kind} {event.exit and event.exit.code}")
            assert seen == ["running", "ready", "starting", "running", "paused", "running", "exit 3", "stopped"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
async def test_another_user_can_not_connect(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/own/server"
    # the way there is open, so that the socket and its directory alone are what keeps others out
    for directory in (tmp_path, *tmp_path.parents[:3]):
        await trio.Path(directory).chmod(0o755)
    program = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534)\n"
        "try: socket.socket(socket.AF_UNIX).connect(sys.argv[1])\n"
        "except PermissionError: print('refused')"
    )
    async with open_system(agent="noop", listen=address):
        path = address.removeprefix("ipc://")
        for mode in (0o700, 0o711):
            await trio.Path(path).parent.chmod(mode)
            done = await trio.run_process([sys.executable, "-c", program, path], capture_stdout=True)
            assert done.stdout == b"refused\n"
