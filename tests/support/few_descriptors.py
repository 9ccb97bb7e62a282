"""A system in a process of its own that has few descriptors: `python -m tests.support.few_descriptors ENGINE RUN_DIR LIMIT`.

It fills the guest with processes until that says that it is full, and starts sandboxes with hardly a descriptor left for
itself; whatever was there works on, and what is ended makes room. Not a test by itself: `test_descriptors` runs it.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from actors.api import open_system
from actors.errors import ResourceExhausted
from actors.wire.spec import ContainerSpec, ProcessSpec

if TYPE_CHECKING:
    from actors.handles import ContainerHandle, SandboxHandle, SystemHandle

_MOST = 1000
_IDLE = ContainerSpec(process=ProcessSpec(args=("sleep", "1000")))
_INHERITED = ProcessSpec(args=("sh", "-c", "ulimit -Sn; ulimit -Hn"))


async def _container(box: SandboxHandle, name: str) -> ContainerHandle:
    container = await box.create_container(name, _IDLE)
    await container.start()
    return container


async def _says(container: ContainerHandle, name: str) -> None:
    process = await container.exec(name, ProcessSpec(args=("echo", name)))
    assert (await process.collect()).stdout == f"{name}\n".encode()


async def _fill_the_guest(system: SystemHandle, engine: str, limit: int) -> None:
    box = await system.create_sandbox("guest")
    await box.start()
    one, other = await _container(box, "one"), await _container(box, "other")
    inherited = await (await other.exec("limits", _INHERITED)).collect()
    # runc's own start-up raises it to the hard one
    wanted = limit if engine == "runc" else limit - 1
    assert inherited.stdout == f"{wanted}\n{limit}\n".encode(), inherited
    held = 0
    try:
        while held < _MOST:
            await one.exec(f"held-{held}", ProcessSpec(args=("sleep", "1000")))
            held += 1
        raise AssertionError("the guest was never full")
    except ResourceExhausted as error:
        print(f"full with {held} processes: {error}")
    assert held >= 10
    # what runs is told of, paused and ended without anything new
    assert len((await one.info()).children) == held
    await other.pause()
    await other.resume()
    await one.stop(grace=0)
    await one.delete()
    await _says(other, "room-again")
    third = await _container(box, "third")
    await _says(third, "in-a-new-one")
    await box.delete(force=True)


async def _leave_the_host_few(system: SystemHandle) -> None:
    """A sandbox needs some: with none, one, two ... to spare it is refused wherever that is, until it comes up."""
    first = await system.create_sandbox("first")
    await first.start()
    container = await _container(first, "one")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    for spare in range(_MOST):
        box = await system.create_sandbox("box")
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + spare, hard))
        try:
            await box.start()
            await _container(box, "one")
        except ResourceExhausted as error:
            print(f"{spare} to spare: {error}")
        else:
            break
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await box.delete(force=True)
        await _says(container, f"still-there-{spare}")
    else:
        raise AssertionError("it never came up")
    assert spare > 1


async def main(engine: str, run_dir: Path, limit: int) -> None:
    """Raises: AssertionError."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit - 1, limit))
    with trio.fail_after(100):
        async with open_system(engine=engine, run_dir=run_dir) as system:
            await _fill_the_guest(system, engine, limit)
            if engine == "processes":
                await _leave_the_host_few(system)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
