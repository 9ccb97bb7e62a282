"""A simulated engine with one container, and what comes of a script in it."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from actors.schemas.oci import Linux, LinuxMemory, LinuxPids, LinuxResources, Process, Root, Spec
from actors.simulation.engine import SimulatedEngine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.simulation.engine_process import SimulatedProcess

__all__ = ["Ended", "open_engine", "process", "result", "run_script", "spec"]


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


async def run_script(script: str, stdin: bytes | None = b"", *, memory: int = 0, pids: int = 0, seed: int = 0) -> Ended:
    """`sh -c SCRIPT` as an exec beside a sleeping init."""
    async with open_engine(seed) as engine:
        await engine.create("box", spec("sleep", "infinity", memory=memory, pids=pids))
        await engine.start("box")
        return await result(await engine.exec("box", process("sh", "-c", script)), stdin)
