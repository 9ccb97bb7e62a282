"""RemoveContainer: from every state, and its effect on waiting calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Cases
from actors.conformance.expect import equal

if TYPE_CHECKING:
    from actors.conformance.kata import Kata

__all__ = ["CASES"]

CASES = Cases()


@CASES.add(
    "remove.ends-and-frees",
    title="Remove ends what runs, and frees the id",
    does="removes a running container, asks for it, and makes another of the same id",
    expects="it is not_found afterwards, and its id can be used again",
    why="kata-agent do_remove_container: SIGKILL to all, then everything of it goes",
)
async def ends_and_frees(kata: Kata) -> None:
    container = await kata.run()
    await container.check_alive()
    await container.remove()
    with kata.refused("an exec in what was removed", "not_found"):
        await container.exec("true")
    again = await kata.create(kata.spec("sh", "-c", "echo again-$((20 + 1))"), named=container.id)
    await again.start()
    equal(await again.init.rest(), b"again-21\n", "its output")


@CASES.add(
    "remove.unknown-refused",
    title="Removing a container that is not there is told",
    does="removes an id that nobody has used",
    expects="not_found",
    why="agent-semantics 1.3, delete missing: what force makes of it is the client's affair",
)
async def unknown(kata: Kata) -> None:
    with kata.refused("remove of an unknown container", "not_found"):
        await kata.call("RemoveContainer", container_id=kata.fresh())


@CASES.add(
    "remove.twice-refused",
    title="A second remove is told",
    does="removes a running container twice",
    expects="ok, then not_found",
    why="agent-semantics 1.3, stop of stopped: a client maps it to ok, the agent does not pretend",
)
async def twice(kata: Kata) -> None:
    container = await kata.run()
    await container.remove()
    with kata.refused("a second remove", "not_found"):
        await container.remove()


@CASES.add(
    "remove.created",
    title="A container that was never started can be removed",
    does="creates a container, removes it, and makes another of the same id",
    expects="ok, and the second one runs",
    why="agent-semantics 1.1: ready may stop",
)
async def created(kata: Kata) -> None:
    container = await kata.create(kata.spec())
    await container.remove()
    with kata.refused("a start of what was removed", "not_found"):
        await container.start()
    await (await kata.create(kata.spec(), named=container.id)).start()
    await container.check_alive()


@CASES.add(
    "remove.stopped",
    title="A container whose init has ended can be removed",
    does="runs a container to its end and removes it, then asks for its exit code",
    expects="exit code 3, ok, then not_found",
    why="agent-semantics 1.1: stopped may be deleted",
)
async def stopped(kata: Kata) -> None:
    container = await kata.shell("exit $((1 + 2))")
    equal((await container.init.finish()).code, 3, "exit code")
    await container.remove()
    with kata.refused("a wait for what was removed", "not_found"):
        await container.init.wait()


@CASES.add(
    "remove.paused",
    title="A paused container can be removed",
    does="pauses a container that counts, removes it, and asks for it",
    expects="ok within the case's time, then not_found",
    why="kata-containers/runtime#317 (df05b2c5), kata-containers/agent#252: a frozen process does not die",
)
async def paused(kata: Kata) -> None:
    container = await kata.ticking()
    await container.pause()
    await container.remove()
    with kata.refused("an exec in what was removed", "not_found"):
        await container.exec("true")


@CASES.add(
    "remove.answers-waiters",
    title="Who waits for the init of a removed container is told 137",
    does="waits for a running init, and removes its container meanwhile",
    expects="status 137",
    why="agent-semantics 6.3 (34): the Rust agent answers `Invalid container id`",
)
async def answers_waiters(kata: Kata) -> None:
    container = await kata.run()
    codes: list[int] = []

    async def wait() -> None:
        codes.append(await container.init.wait())

    async with kata.together() as nursery:
        nursery.start_soon(wait)
        await kata.under_way()
        await container.remove()
    equal(codes, [137], "its waiter is told")


@CASES.add(
    "remove.ends-readers",
    title="Who reads a removed container's output sees its end",
    does="reads the output of a silent exec, and removes its container meanwhile",
    expects="the end of the stream, or a refusal, at once",
    why="agent-semantics 6.3 (39), 6.4 (45)",
)
async def ends_readers(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("echo begun-$((1 + 1)); sleep 100000")
    await process.until("begun-2\n")
    seen: list[str] = []

    async def read() -> None:
        code = await kata.code("ReadStdout", container_id=container.id, exec_id=process.id, len=100)
        seen.append(code)

    async with kata.together() as nursery:
        nursery.start_soon(read)
        await kata.under_way()
        await container.remove()
        await kata.comes("a reader of what was removed is answered", seen)


@CASES.add(
    "remove.leaves-others",
    title="A removed container's neighbour runs on",
    does="removes one of two containers, and looks at the other",
    expects="the other still counts",
    why="virtcontainers: one container of a sandbox ends, its siblings do not",
)
async def leaves_others(kata: Kata) -> None:
    one, other = await kata.run(), await kata.ticking()
    await one.remove()
    await other.init.until("tick-")
    await other.check_alive()
