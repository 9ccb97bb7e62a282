"""virtcontainers' stop sequence: SIGTERM, wait, kill all, wait again, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Cases
from actors.conformance.expect import equal
from actors.conformance.together import outcome

if TYPE_CHECKING:
    from actors.conformance.kata import Kata
    from actors.conformance.kata_container import Container

__all__ = ["CASES"]

CASES = Cases()

TERM = 15
# a real client waits for ten
GRACE_SECONDS = 1.0


async def _stop(kata: Kata, container: Container, *, patient: bool) -> int:
    """Like a client, with a single wait over the whole sequence; returns the exit code.

    Args:
        patient: the grace period lasts until it has ended, however slow it is.
    """
    codes: list[int] = []

    async def wait() -> None:
        codes.append(await container.init.wait())

    async with kata.together() as nursery:
        nursery.start_soon(wait)
        await kata.under_way()
        await container.init.signal(TERM)
        if patient:
            await kata.comes("its end is told after TERM", codes)
        else:
            await kata.pass_time(GRACE_SECONDS)
            equal(codes, [], "ends within the grace:")
        # for an ended process it is a no-op, or refused by some
        await outcome(container.kill_all())
        await kata.comes("its end is told after KILL", codes)
    await container.remove()
    with kata.refused("a wait for what was removed", "not_found"):
        await container.init.wait()
    return codes[0]


@CASES.add(
    "stop.polite",
    title="An init that ends when it is asked keeps its own exit code through the whole stop",
    does="stops a container whose init exits with 9 on TERM: one wait; TERM, its end, KILL to all, remove",
    expects="9 to who waited, and then no such container",
    why="agent-semantics 1.3, stop (graceful); 6.1 (8): the exit code is the natural one if it came first",
)
async def polite(kata: Kata) -> None:
    container = await kata.shell("trap 'exit 9' TERM; echo up-$((2 + 2)); while true; do sleep 0.1; done")
    await container.init.until("up-4\n")
    equal(await _stop(kata, container, patient=True), 9, "exit code")


@CASES.add(
    "stop.stubborn",
    title="An init that ignores TERM ends with the kill that follows",
    does="stops a container whose init ignores TERM, with an exec that does too",
    expects="no end within the grace, then 137; and then no such container",
    why="agent-semantics 1.3, stop (graceful); 6.3 (31): a stop escalates after its grace, kata-containers#4478",
)
async def stubborn(kata: Kata) -> None:
    container = await kata.shell("trap '' TERM; echo up-$((2 + 2)); while true; do sleep 0.1; done")
    await container.spawn("trap '' TERM; while true; do sleep 0.1; done")
    await container.init.until("up-4\n")
    equal(await _stop(kata, container, patient=False), 137, "exit code")


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
    with kata.quick("a paused container's end"):
        equal(await container.init.wait(), 137, "exit code")
    await container.remove()
    await (await kata.create(kata.spec(), named=container.id)).start()
    await container.check_alive()
