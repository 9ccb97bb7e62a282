"""Callers that do what comes to their minds, for tests of determinism: verbs at random, cancels, waits, output, deaths.

They assert nothing; what their asks come to goes into the trace. Works on any system of actors.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import trio

from actors.errors import KatrioError
from actors.wire.spec import ContainerSpec, ProcessSpec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.handles import ContainerHandle, SandboxHandle, SystemHandle
    from actors.seams import Rng

_COUNTING = "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.05; done"
_CONTAINERS = 3
_CALLERS = 4
_ACTS = 12


async def be_busy(
    system: SystemHandle, rng: Rng, note: Callable[[str, bytes], None], kill_guest: Callable[[], None]
) -> None:
    """Two sandboxes, some containers in each, callers that cancel half of what they ask; one guest dies."""
    async with trio.open_nursery() as nursery:
        for number in range(2):
            box = await system.create_sandbox(f"box{number}")
            await box.start()
            nursery.start_soon(_in_sandbox, box, rng, note, name=f"busy {number}")
        await trio.sleep(rng.uniform(0.2, 1.5))
        try:
            kill_guest()
        except KatrioError as error:
            note("busy", error.code.encode())


async def _in_sandbox(box: SandboxHandle, rng: Rng, note: Callable[[str, bytes], None]) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(_CONTAINERS):
            spec = ContainerSpec(image="busybox", process=ProcessSpec(args=("sh", "-c", _COUNTING)))
            try:
                container = await box.create_container(f"c{number}", spec)
                await container.start()
            except KatrioError as error:
                note("busy", error.code.encode())
                return
            for caller in range(_CALLERS):
                nursery.start_soon(_caller, container, caller, rng, note, name=f"caller {caller} of c{number}")
    for ask in (box.stop(grace=0.1), box.delete()):
        try:
            await ask
        except KatrioError as error:
            note("busy", error.code.encode())


async def _caller(container: ContainerHandle, number: int, rng: Rng, note: Callable[[str, bytes], None]) -> None:
    for act in range(_ACTS):
        outcome = "cancelled"
        with trio.move_on_after(rng.uniform(0, 0.4)):
            try:
                await _act(container, f"{number}-{act}", int(rng.random() * 9))
                outcome = "done"
            except KatrioError as error:
                outcome = error.code
        note("busy", f"{number} {act} {outcome}".encode())


async def _act(container: ContainerHandle, name: str, choice: int) -> None:
    spec = ProcessSpec(args=("sh", "-c", "echo hello; sleep 0.1; exit 3"))
    acts: list[Callable[[], Awaitable[object]]] = [
        container.pause,
        container.resume,
        lambda: container.signal(signal.SIGUSR1),
        lambda: container.exec(name, spec),
        container.info,
        container.init.wait,
        lambda: _read(container),
        lambda: container.init.write(b"input\n"),
        lambda: container.exec(name, spec),
    ]
    await acts[choice]()


async def _read(container: ContainerHandle) -> None:
    async with container.init.open_stdout() as parts:
        async for _ in parts:
            pass
