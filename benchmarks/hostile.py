"""What a hostile guest costs the others: a verb on an honest sandbox, alone and beside a guest that floods.

It floods with output, or with the smallest frames, which answer calls that nobody made. Guests are processes of their own:
`python -m benchmarks.hostile honest|output|frames PATH`; the last of them takes `g` and `s` on its input. Not for whether lies
are caught: `tests/integration/test_hostile_guest.py` tells them.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import asynccontextmanager, suppress
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

import trio

from actors.limits import DEFAULT_LIMITS
from actors.schemas import agent as api
from actors.wire.spec import ContainerSpec, ProcessSpec
from benchmarks.figure import Comparison, Effort, Figure, Goal, Measured, take_turns
from benchmarks.floods import mean, p99
from benchmarks.processes import open_process
from benchmarks.spinning import SPINNING, open_spinning
from tests.support.hostile_guest import HostileGuest
from tests.support.hostile_system import open_dialled_system
from transports.stream import serve_unix, unix_dialer
from transports.ttrpc.codec import RESPONSE, encode_frame

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from actors.handles import ContainerHandle, SandboxHandle
    from tests.support.hostile_guest import Asked
    from transports.stream import SocketStream

ROUNDS = 9
VERBS = 400
LINKS = 4
POLL_SECONDS = 0.0005
SPEC = ContainerSpec(process=ProcessSpec(args=("sh",)))


async def _output(effort: Effort) -> Measured:
    verbs = effort.times(VERBS)
    async with _open_boxes("output") as (honest, liar, _), open_spinning() as spinning:
        container = await _running(honest)
        lying = await _running(liar)
        floods = 0

        async def beside() -> float:
            nonlocal floods
            floods += 1
            # stopped again, so that the other side's turn is quiet: its guest ends a flood on a signal
            await lying.exec(f"flood{floods}", ProcessSpec(args=("yes",)))
            try:
                return p99(await _times(container, verbs))
            finally:
                await lying.process(f"flood{floods}").signal(15)

        async def alone() -> float:
            return p99(await _times(container, verbs))

        sides = (beside, alone, partial(spinning, alone))
        beside_flood, quiet, floor = await take_turns(effort.rounds(ROUNDS), *sides)
    return Measured(
        beside_flood,
        [Comparison("the same with a quiet neighbour", quiet, Goal(most=2.0)), Comparison(SPINNING, floor)],
    )


async def _frames(of: Callable[[Sequence[float]], float], effort: Effort) -> Measured:
    verbs = effort.times(VERBS)
    async with _open_boxes("frames") as (honest, liar, guest):
        container = await _running(honest)
        # links of its own, each of which is flooded
        for number in range(LINKS):
            await _running(liar, f"c{number}")
        assert guest.stdin is not None
        tell = guest.stdin.send_all

        async def beside() -> float:
            await tell(b"g")
            try:
                return of(await _times(container, verbs))
            finally:
                await tell(b"s")

        async def alone() -> float:
            return of(await _times(container, verbs))

        beside_flood, quiet = await take_turns(effort.rounds(ROUNDS), beside, alone)
    return Measured(beside_flood, [Comparison("the same with a quiet neighbour", quiet, Goal(most=2.0))])


async def _times(container: ContainerHandle, verbs: int) -> list[float]:
    times: list[float] = []
    for turn in range(verbs):
        began = perf_counter()
        await (container.resume() if turn % 2 else container.pause())
        times.append(perf_counter() - began)
    return times


async def _running(box: SandboxHandle, name: str = "c") -> ContainerHandle:
    if name in {"c", "c0"}:
        await box.start()
    container = await box.create_container(name.ljust(2, "1"), SPEC)
    await container.start()
    return container


@asynccontextmanager
async def _open_boxes(flood: str) -> AsyncGenerator[tuple[SandboxHandle, SandboxHandle, trio.Process]]:
    """An honest sandbox and a lying one, not started, and the process of the latter's guest."""
    with tempfile.TemporaryDirectory() as directory:
        paths = {kind: f"{directory}/{kind}.sock" for kind in ("honest", flood)}
        async with (
            open_process("benchmarks.hostile", "honest", paths["honest"]),
            open_process("benchmarks.hostile", flood, paths[flood]) as liar,
            open_dialled_system({kind: unix_dialer(path) for kind, path in paths.items()}) as system,
        ):
            yield await system.create_sandbox("honest"), await system.create_sandbox(flood), liar


async def _serve(kind: str, path: str) -> None:
    guest = HostileGuest()
    guest.lies |= dict.fromkeys(("GetOOMEvent", "ReadStdout", "ReadStderr", "WaitProcess"), _never)
    async with trio.open_nursery() as nursery:
        if kind == "output":
            _flood_output(guest)
        elif kind == "frames":
            _flood_frames(guest, nursery)
        await nursery.start(serve_unix, path, guest.serve)
        print("ready", flush=True)


async def _never(_: Asked) -> None:
    await trio.sleep_forever()


def _flood_output(guest: HostileGuest) -> None:
    flooding = trio.Event()

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

    guest.lies |= {"ReadStdout": flood, "ExecProcess": start, "SignalProcess": stop}


def _flood_frames(guest: HostileGuest, nursery: trio.Nursery) -> None:
    """On every link, as long as it is told to: the ones that its host makes anew among them."""
    frames = encode_frame(RESPONSE, 2**31 - 1, b"") * 25_000
    going = trio.Event()

    async def told() -> None:
        nonlocal going
        while True:
            await trio.lowlevel.wait_readable(0)
            if os.read(0, 1) == b"g":
                going.set()
            else:
                going = trio.Event()

    async def flood(stream: SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            rest = frames
            while True:
                await going.wait()
                # beside honest answers, which is why it does not wait for room as they do
                sent = stream.send_nowait(rest)
                rest = rest[sent:] or frames
                await trio.sleep(0 if sent else POLL_SECONDS)

    async def greet(stream: SocketStream) -> None:
        nursery.start_soon(flood, stream)

    nursery.start_soon(told)
    guest.greets = greet


FIGURES = (
    Figure("hostile_neighbour", "p99 of pause and resume beside a guest that floods its output", "us", _output),
    Figure(
        "hostile_frames_mean",
        "mean of pause and resume beside a guest that floods tiny frames",
        "us",
        partial(_frames, mean),
    ),
    Figure(
        "hostile_frames_p99",
        "p99 of pause and resume beside a guest that floods tiny frames",
        "us",
        partial(_frames, p99),
    ),
)

if __name__ == "__main__":
    trio.run(_serve, sys.argv[1], sys.argv[2])
