"""The way in which virtcontainers stops a container: ask, wait, kill all, wait again, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.conformance.case import Cases
from actors.conformance.expect import equal, refused

if TYPE_CHECKING:
    from actors.conformance.kata import Kata
    from actors.conformance.kata_container import Container

__all__ = ["CASES"]

CASES = Cases()

TERM = 15
# a client waits for ten; what these cases' inits do takes no time
GRACE_SECONDS = 1.0


async def _stop(container: Container) -> list[int]:
    """As a client does it; the exit codes that it was told, in order."""
    codes: list[int] = []
    await container.init.signal(TERM)
    with trio.move_on_after(GRACE_SECONDS):
        codes.append(await container.init.wait())
    await container.kill_all()
    codes.append(await container.init.wait())
    await container.remove()
    return codes


@CASES.add(
    "stop.polite",
    title="An init that ends when it is asked keeps its own exit code through the whole stop",
    does="stops a container whose init exits with 9 on TERM: TERM, wait, KILL to all, wait, remove",
    expects="9 from both waits, every step ok, and then no such container",
    why="agent-semantics 1.3, stop (graceful); 6.1 (8): the exit code is the natural one if it came first",
)
async def polite(kata: Kata) -> None:
    container = await kata.shell("trap 'exit 9' TERM; echo up-$((2 + 2)); while true; do sleep 0.1; done")
    await container.init.until("up-4\n")
    equal(await _stop(container), [9, 9], "exit codes")
    with refused("a wait for what was removed", "not_found"):
        await container.init.wait()


@CASES.add(
    "stop.stubborn",
    title="An init that ignores TERM ends with the kill that follows",
    does="stops a container whose init ignores TERM, with an exec that does too",
    expects="no end within the grace, then 137; every step ok, and then no such container",
    why="agent-semantics 1.3, stop (graceful); 6.3 (31): a stop escalates after its grace, kata-containers#4478",
)
async def stubborn(kata: Kata) -> None:
    container = await kata.shell("trap '' TERM; echo up-$((2 + 2)); while true; do sleep 0.1; done")
    await container.spawn("trap '' TERM; while true; do sleep 0.1; done")
    await container.init.until("up-4\n")
    equal(await _stop(container), [137], "exit codes")
    with refused("a wait for what was removed", "not_found"):
        await container.init.wait()


@CASES.add(
    "stop.paused",
    title="A paused container can be stopped",
    does="pauses a container, kills all of it, waits, removes it, and makes another of its id",
    expects="137, ok, and the new one runs",
    why="kata-containers/runtime#317: the table has paused to stopped, and the agent could not",
)
async def paused(kata: Kata) -> None:
    container = await kata.ticking()
    await container.pause()
    await container.kill_all()
    equal(await container.init.wait(), 137, "exit code")
    await container.remove()
    await (await kata.create(kata.spec(), named=container.id)).start()
    await container.check_alive()
