"""A place where one engine can work as in a guest: a process with mounts and a working directory of its own.

For the tests of the engine port: a fork of the test's process runs the body, and its failure comes back as text. Not for
whole guests: those are `launch`'s.
"""

from __future__ import annotations

import os
import random
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from actors.guest import syscalls
from actors.guest.serve import make_engine
from actors.images.store import ImageStore
from actors.limits import DEFAULT_LIMITS
from actors.node.busybox import find_static_busybox
from actors.node.cgroups import read_layout, sandbox_group, sweep_group
from actors.nurseries import open_collapsing_nursery
from actors.schemas.oci import Box, Linux, LinuxCapabilities, LinuxResources, POSIXRlimit, Process, Root, Spec, User
from actors.simulation.engine import SimulatedEngine
from tests.support.forks import run_in_a_fork

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.guest.engines.base import Engine, EngineProcess
    from actors.wire.spec import ExitStatus

__all__ = ["Output", "Room", "in_a_room", "in_a_simulated_room"]

_SECONDS = 60.0


@dataclass(frozen=True)
class Output:
    """All that came of one process."""

    stdout: bytes
    stderr: bytes
    code: int


@dataclass(frozen=True)
class Room:
    """One engine that runs, and the short words of its tests. `sandbox` is its directory's name in the groups."""

    engine: Engine
    root: str
    sandbox: str

    def process(
        self,
        *args: str,
        cwd: str = "/",
        env: tuple[str, ...] = (),
        user: str = "",
        size: tuple[int, int] | None = None,
        tty: bool = False,
        rlimits: tuple[POSIXRlimit, ...] = (),
        capabilities: tuple[str, ...] | None = None,
    ) -> Process:
        """`user` as `string_user` carries it; `capabilities` None for the default ones."""
        sets = (
            None
            if capabilities is None
            else LinuxCapabilities(bounding=capabilities, effective=capabilities, permitted=capabilities)
        )
        return Process(
            args=args,
            cwd=cwd,
            env=env,
            user=User(uid=0, gid=0, username=user) if user else None,
            terminal=tty or size is not None,
            console_size=None if size is None else Box(height=size[0], width=size[1]),
            rlimits=rlimits,
            capabilities=sets,
        )

    def spec(self, process: Process, resources: LinuxResources | None = None, *, readonly: bool = False) -> Spec:
        """A container's document around its init."""
        root = Root(path=self.root, readonly=readonly)
        return Spec(version="1.0.2", root=root, process=process, linux=Linux(resources=resources))

    async def started(self, name: str, *args: str, resources: LinuxResources | None = None) -> EngineProcess:
        """A container that runs `args`."""
        process = await self.engine.create(name, self.spec(self.process(*args), resources))
        await self.engine.start(name)
        return process

    async def idle(self, name: str) -> EngineProcess:
        """A container whose init does nothing."""
        return await self.started(name, "sleep", "1000")

    async def exec(self, name: str, *args: str) -> Output:
        """Run one process in it to its end."""
        return await self.exec_process(name, self.process(*args))

    async def exec_process(self, name: str, process: Process) -> Output:
        """The same with more than arguments."""
        return await outcome(await self.engine.exec(name, process))

    async def pids(self, name: str, count: int) -> tuple[int, ...]:
        """Its processes, once there are so many."""
        while True:
            found = await self.engine.list_pids(name)
            if len(found) >= count:
                return found
            await trio.sleep(0.01)

    async def remove(self, *names: str) -> None:
        """Kill and delete."""
        for name in names:
            await self.engine.kill_all(name)
            await self.engine.delete(name)


async def read_all(stream: trio.abc.ReceiveStream | None) -> bytes:
    """Up to its end."""
    parts: list[bytes] = []
    while stream is not None and (part := await stream.receive_some()):
        parts.append(bytes(part))
    return b"".join(parts)


async def read_until(stream: trio.abc.ReceiveStream, wanted: bytes) -> bytes:
    """Up to where `wanted` is in it."""
    output = b""
    while wanted not in output:
        part = await stream.receive_some()
        assert part, f"ended without {wanted!r}: {output!r}"
        output += part
    return output


async def outcome(process: EngineProcess) -> Output:
    """Both outputs and the exit, the input closed first (a terminal's is left open)."""
    found: dict[str, bytes] = {}

    async def read(name: str, stream: trio.abc.ReceiveStream | None) -> None:
        found[name] = await read_all(stream)

    if process.stdin is not None and process.stderr is not None:
        await process.stdin.aclose()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, "stdout", process.stdout)
        nursery.start_soon(read, "stderr", process.stderr)
    status: ExitStatus = await process.wait()
    await process.aclose()
    return Output(found["stdout"], found["stderr"], status.code)


def in_a_room(name: str, body: Callable[[Room], Awaitable[None]]) -> None:
    """Run `body` with a fresh engine, in a process of its own; fails as it fails, and when anything is left."""
    with tempfile.TemporaryDirectory(prefix="kt-room-") as directory:
        place = Path(directory, "place")
        place.mkdir()
        run_in_a_fork(partial(_in_place, name, place, body))


async def in_a_simulated_room(body: Callable[[Room], Awaitable[None]]) -> None:
    """The same with the simulated engine, in this process, under the test's virtual clock."""
    await _run(Room(SimulatedEngine(random.Random(0)), "/", "simulated"), body)


def _in_place(name: str, place: Path, body: Callable[[Room], Awaitable[None]]) -> None:
    isolated = name != "processes"
    syscalls.become_subreaper()
    if isolated:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount("tmpfs", str(place), "tmpfs", data="mode=0700")
    os.chdir(place)
    sandbox = place.parent.name
    try:
        engine = make_engine(name, sandbox, token="room", limits=DEFAULT_LIMITS)
        root = str(ImageStore(Path("images").absolute(), find_static_busybox()).resolve("busybox")) if isolated else "/"
        trio.run(_run, Room(engine, root, sandbox), body)
        for directory in ("bundles", "runtime", "calls", "gates"):
            assert not Path(directory).exists() or not os.listdir(directory), f"{directory}: {os.listdir(directory)}"
    finally:
        assert sweep_group(read_layout(), sandbox_group(sandbox))


async def _run(room: Room, body: Callable[[Room], Awaitable[None]]) -> None:
    with trio.fail_after(_SECONDS):
        async with open_collapsing_nursery() as nursery:
            await nursery.start(room.engine.run)
            await body(room)
            nursery.cancel_scope.cancel()
