"""What a hostile guest costs the others: the p99 of a verb on an honest sandbox, alone and beside one that floods.

Both guests are processes of their own: `python -m benchmarks.hostile flood|honest PATH`. Not for whether lies are caught:
`tests/integration/test_hostile_guest.py` tells them.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

import trio

from actors.limits import DEFAULT_LIMITS
from actors.schemas import agent as api
from actors.wire.spec import ContainerSpec, ProcessSpec
from benchmarks.figure import Comparison, Effort, Figure, Goal, Measured, take_turns
from benchmarks.processes import open_process
from tests.support.hostile_guest import HostileGuest
from tests.support.hostile_system import open_dialled_system
from transports.stream import serve_unix, unix_dialer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.handles import ContainerHandle, SandboxHandle
    from tests.support.hostile_guest import Asked

ROUNDS = 9
VERBS = 400
SPEC = ContainerSpec(process=ProcessSpec(args=("sh",)))


async def _neighbour(effort: Effort) -> Measured:
    verbs = effort.times(VERBS)
    async with _open_boxes() as (honest, liar):
        container = await _running(honest)
        lying = await _running(liar)
        floods = 0

        async def beside() -> float:
            nonlocal floods
            floods += 1
            # stopped again, so that the other side's turn is quiet: its guest ends a flood on a signal
            await lying.exec(f"flood{floods}", ProcessSpec(args=("yes",)))
            try:
                return await _p99(container, verbs)
            finally:
                await lying.process(f"flood{floods}").signal(15)

        beside_flood, alone = await take_turns(effort.rounds(ROUNDS), beside, partial(_p99, container, verbs))
    return Measured(beside_flood, [Comparison("the same with a quiet neighbour", alone, Goal(most=2.0))])


async def _p99(container: ContainerHandle, verbs: int) -> float:
    times: list[float] = []
    for turn in range(verbs):
        began = perf_counter()
        await (container.resume() if turn % 2 else container.pause())
        times.append(perf_counter() - began)
    return statistics.quantiles(times, n=100)[98] * 1e6


async def _running(box: SandboxHandle) -> ContainerHandle:
    await box.start()
    container = await box.create_container("c1", SPEC)
    await container.start()
    return container


@asynccontextmanager
async def _open_boxes() -> AsyncGenerator[tuple[SandboxHandle, SandboxHandle]]:
    """An honest sandbox and a lying one, not started."""
    with tempfile.TemporaryDirectory() as directory:
        paths = {kind: f"{directory}/{kind}.sock" for kind in ("honest", "flood")}
        async with (
            open_process("benchmarks.hostile", "honest", paths["honest"]),
            open_process("benchmarks.hostile", "flood", paths["flood"]),
            open_dialled_system({kind: unix_dialer(path) for kind, path in paths.items()}) as system,
        ):
            yield await system.create_sandbox("honest"), await system.create_sandbox("flood")


async def _serve(kind: str, path: str) -> None:
    guest = HostileGuest()
    flooding = trio.Event()

    async def never(_: Asked) -> None:
        await trio.sleep_forever()

    async def start(asked: Asked) -> None:
        nonlocal flooding
        flooding = trio.Event()
        await asked.honestly()

    async def stop(asked: Asked) -> None:
        flooding.set()
        await asked.honestly()

    async def flood(asked: Asked) -> None:
        if b"flood" not in asked.payload:
            await trio.sleep_forever()
        data = b"" if flooding.is_set() else bytes(DEFAULT_LIMITS.read_bytes)
        await asked.struct(api.ReadStreamResponse(data=data))

    guest.lies |= {"GetOOMEvent": never, "ReadStdout": never, "ReadStderr": never, "WaitProcess": never}
    if kind == "flood":
        guest.lies |= {"ReadStdout": flood, "ExecProcess": start, "SignalProcess": stop}
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_unix, path, guest.serve)
        print("ready", flush=True)


FIGURES = (
    Figure("hostile_neighbour", "p99 of pause and resume beside a guest that floods its output", "us", _neighbour),
)

if __name__ == "__main__":
    trio.run(_serve, sys.argv[1], sys.argv[2])
