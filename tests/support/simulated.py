"""A simulated engine with one container and what comes of a script in it; and the kernel alone, its time told by a test."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from actors.schemas.oci import Linux, LinuxMemory, LinuxPids, LinuxResources, Process, Root, Spec
from actors.simulation.box.kernel import calls
from actors.simulation.box.kernel.execution import CALLS
from actors.simulation.box.kernel.kernel import Kernel
from actors.simulation.box.kernel.process import Container, Launch
from actors.simulation.box.kernel.terminal import Terminal
from actors.simulation.engine import SimulatedEngine
from actors.simulation.image import busybox_tree

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.simulation.box.kernel.calls import Body, Program
    from actors.simulation.box.kernel.files import OpenFile
    from actors.simulation.box.kernel.process import Process as KernelProcess
    from actors.simulation.engine_process import SimulatedProcess

__all__ = ["Ended", "Machine", "idle", "open_engine", "process", "result", "run_script", "spec"]


@dataclass(frozen=True, slots=True)
class Ended:
    """What a process left."""

    stdout: bytes
    stderr: bytes
    code: int


def process(*args: str, terminal: bool = False, cwd: str = "/", env: tuple[str, ...] = ()) -> Process:
    """An OCI process."""
    return Process(args=args, cwd=cwd, terminal=terminal, env=env)


def spec(*args: str, memory: int = 0, pids: int = 0, readonly: bool = False) -> Spec:
    """An OCI spec, with limits."""
    resources = LinuxResources(
        memory=LinuxMemory(limit=memory) if memory else None, pids=LinuxPids(limit=pids) if pids else None
    )
    return Spec(
        version="1.0.2",
        process=process(*args),
        root=Root(path="rootfs", readonly=readonly),
        linux=Linux(resources=resources),
    )


class Machine:
    """A kernel with one container whose init sleeps for ever."""

    def __init__(self) -> None:
        self.kernel = Kernel(random.Random(0).random, CALLS)
        self.container = Container("box", busybox_tree(readonly=False))
        self.init = self.spawn(idle)

    def spawn(self, program: Program, files: dict[int, OpenFile] | None = None) -> KernelProcess:
        """A process of it."""
        terminal = next((file for file in (files or {}).values() if isinstance(file, Terminal)), None)
        launch = Launch(program, ("test",), {}, "/", files or {}, terminal=terminal)
        return self.kernel.spawn(self.container, launch)

    def go_on(self, seconds: float) -> None:
        """Let virtual time pass, timer by timer."""
        end = self.kernel.now + seconds
        self.kernel.run(self.kernel.now)
        while (following := self.kernel.next_time()) <= end:
            self.kernel.run(following)
        self.kernel.run(end)


def idle(_: KernelProcess) -> Body:
    """Sleeps for ever."""
    yield calls.Sleep(float("inf"))
    return 0


@asynccontextmanager
async def open_engine(seed: int = 0) -> AsyncGenerator[SimulatedEngine]:
    """A running engine."""
    engine = SimulatedEngine(random.Random(seed))
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        yield engine
        nursery.cancel_scope.cancel()


async def result(running: SimulatedProcess, stdin: bytes | None = b"") -> Ended:
    """Read a process's output to its end, and wait for it. `stdin` None leaves its input open."""
    stdout, stderr = bytearray(), bytearray()

    async def read(stream: trio.abc.ReceiveStream | None, into: bytearray) -> None:
        while stream is not None and (data := await stream.receive_some()):
            into += data

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, running.stdout, stdout)
        nursery.start_soon(read, running.stderr, stderr)
        if stdin is not None:
            await running.stdin.send_all(stdin)
            await running.stdin.aclose()
        status = await running.wait()
    return Ended(bytes(stdout), bytes(stderr), status.code)


async def run_script(
    script: str, stdin: bytes | None = b"", *, memory: int = 0, pids: int = 0, seed: int = 0, cwd: str = "/"
) -> Ended:
    """`sh -c SCRIPT` as an exec beside a sleeping init."""
    async with open_engine(seed) as engine:
        await engine.create("box", spec("sleep", "infinity", memory=memory, pids=pids))
        await engine.start("box")
        return await result(await engine.exec("box", process("sh", "-c", script, cwd=cwd)), stdin)
