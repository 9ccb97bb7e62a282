"""A running sandbox of the embedded world, for tests that drive real containers by hand.

Not for scenarios, which have a world of their own; nor for tests of one engine, which need no actors.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from actors.api import open_embedded
from actors.errors import KatrioError
from actors.limits import DEFAULT_LIMITS, Limits
from actors.node.facts import choose_engine, read_facts
from actors.scenario.language.needs import Probe
from actors.wire.spec import ContainerSpec, ProcessSpec, TerminalSize

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.handles import ContainerHandle, ProcessHandle, SandboxHandle
    from actors.worlds.embedded import EmbeddedWorld

__all__ = [
    "ENGINES",
    "SLEEP",
    "TICK",
    "Room",
    "a_room",
    "children",
    "code_of",
    "guest_pid",
    "in_state",
    "refused",
    "until",
]

ENGINES = sorted({"processes", choose_engine(read_facts())[0]})
TICK = "while true; do sleep 0.02; done"
SLEEP = ("sleep", "100")


@dataclass
class Room:
    """One running sandbox."""

    world: EmbeddedWorld
    box: SandboxHandle
    engine: str

    async def created(self, *args: str, tty: bool = False, name: str = "one") -> ContainerHandle:
        process = ProcessSpec(args=args or SLEEP, tty=tty, size=TerminalSize(24, 80) if tty else None)
        return await self.box.create_container(name, ContainerSpec(process=process))

    async def running(self, *args: str, tty: bool = False, name: str = "one") -> ContainerHandle:
        container = await self.created(*args, tty=tty, name=name)
        await container.start()
        return container

    async def frozen(self, container: ContainerHandle) -> str:
        return await self.world.probe(Probe.FREEZER, "box", container.address.rpartition("/")[2])


@asynccontextmanager
async def a_room(
    engine: str, tmp_path: Path, limits: Limits = DEFAULT_LIMITS, *, seconds: float = 60
) -> AsyncGenerator[Room]:
    run_dir = tmp_path / "r"
    run_dir.mkdir(mode=0o700)
    with trio.fail_after(seconds):
        async with open_embedded(agent="kata", engine=engine, run_dir=run_dir, limits=limits) as world:
            box = await world.system.create_sandbox("box")
            await box.start()
            yield Room(world, box, engine)


async def until(process: ProcessHandle, wanted: bytes) -> None:
    seen = b""
    async with process.open_stdout() as parts:
        async for part in parts:
            seen += part.data
            if wanted in seen:
                return
    raise AssertionError(f"{wanted!r} is not in {seen!r}")


async def in_state(container: ContainerHandle, state: str) -> None:
    async with container.open_events() as events:
        while (await anext(events)).event.state != state:
            pass


@asynccontextmanager
async def refused(code: str, state: str = "") -> AsyncGenerator[None]:
    with pytest.raises(KatrioError) as caught:
        yield
    assert caught.value.code == code, caught.value
    if state:
        assert caught.value.details["state"] == state


async def code_of(container: ContainerHandle) -> int:
    return (await container.init.wait()).code


def children(pid: int) -> list[int]:
    """The pids of a process's children. Raises: OSError, when it has gone."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(word) for task in tasks for word in (task / "children").read_text().split()]


def guest_pid(directory: Path) -> int:
    """The first process of the guest whose run directory this is: the one child of its launcher."""
    launcher = json.loads((directory / "owner.json").read_text())["pid"]
    return children(launcher)[0]
