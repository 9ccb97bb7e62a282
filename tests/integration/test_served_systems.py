"""A system that one program serves and others drive over a unix socket, on real containers."""

from __future__ import annotations

import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from actors.api import connect_system, open_system
from actors.errors import AgentUnreachable, AlreadyExists, InvalidArgument, InvalidTransition
from actors.host.facts import choose_engine, read_facts
from actors.wire.spec import ContainerSpec, ProcessSpec

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
    address = f"ipc://{tmp_path}/own/hub"
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
    address = f"ipc://{tmp_path}/own/hub"
    async with served(address, tmp_path / "r", "processes", "noop"):
        async with connect_system(address) as system:
            await (await system.create_sandbox("box")).start()
        async with connect_system(address) as system:
            assert (await system.sandbox("box").info()).state == "running"


async def test_a_system_that_ends_says_goodbye_and_later_asks_are_told_so(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/own/hub"
    async with trio.open_nursery() as nursery:
        async with served(address, tmp_path / "r", "processes", "noop"):
            system = await nursery.start(_hold, address)
            await system.info()
        with pytest.raises(AgentUnreachable):
            await system.info(budget=0.5)
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
        async with open_system(agent="noop", listen=f"ipc://{tmp_path}/open/hub"):
            pass
    address = f"ipc://{tmp_path}/own/hub"
    async with open_system(agent="noop", listen=address):
        with pytest.raises(AlreadyExists):
            async with open_system(agent="noop", listen=address):
                pass
