"""PauseContainer and ResumeContainer: what is frozen, what continues, and what is refused meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Cases
from actors.conformance.expect import equal

if TYPE_CHECKING:
    from actors.conformance.kata import Kata

__all__ = ["CASES"]

CASES = Cases()

TERM, KILL = 15, 9


@CASES.add(
    "pause.stands-still",
    title="A paused container does nothing, and goes on where it was",
    does="pauses a container that prints a number ten times a second, and resumes it",
    expects="no number while paused, and more of them after the resume",
    why="virtcontainers pauseContainer, resumeContainer",
)
async def stands_still(kata: Kata) -> None:
    container = await kata.ticking()
    await container.init.until("tick-3\n")
    await container.pause()
    await container.init.settled()
    await container.resume()
    await container.init.until("tick-")


@CASES.add(
    "pause.execs-too",
    title="A pause holds the execs of a container as well",
    does="pauses a container with an exec that prints ten times a second",
    expects="it prints nothing while paused, and goes on after the resume",
    why="agent-semantics 1.3: the whole control group is frozen",
)
async def execs_too(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("i=0; while true; do i=$((i+1)); echo beat-$i; sleep 0.1; done")
    await process.until("beat-2\n")
    await container.pause()
    await process.settled()
    await container.resume()
    await process.until("beat-")


@CASES.add(
    "pause.neighbour-runs",
    title="A paused container's neighbour runs on",
    does="pauses one of two containers",
    expects="the other prints on, and takes an exec",
    why="virtcontainers: pause one container of a sandbox",
)
async def neighbour(kata: Kata) -> None:
    one, other = await kata.ticking(), await kata.ticking()
    await one.pause()
    await one.init.settled()
    await other.check_alive()
    await other.init.until("tick-")


@CASES.add(
    "pause.twice-refused",
    title="A second pause is refused",
    does="pauses a paused container",
    expects="a refusal; it is still paused, and a resume lets it go on",
    why="agent-semantics 1.3, pause not-running: error; runtime-rs and hyperstart say nothing",
)
async def twice(kata: Kata) -> None:
    container = await kata.ticking()
    await container.pause()
    with kata.refused("a second pause", go_on=True):
        await container.pause()
    await container.init.settled()
    await container.resume()
    await container.init.until("tick-")


@CASES.add(
    "pause.created-refused",
    title="A container that was not started can't be paused",
    does="pauses a created container, then starts it",
    expects="a refusal; the start works",
    why="agent-semantics 1.1: dropped by 9d4050e0 (kata-containers/runtime#1960)",
)
async def created(kata: Kata) -> None:
    container = await kata.create(kata.spec())
    with kata.refused("a pause of a created container"):
        await container.pause()
    await container.start()
    await container.check_alive()


@CASES.add(
    "pause.stopped-refused",
    title="A container that has ended can't be paused",
    does="runs a container to its end with 4, and pauses it",
    expects="a refusal",
    why="agent-semantics 1.3, pause not-running",
)
async def stopped(kata: Kata) -> None:
    container = await kata.shell("exit $((2 + 2))")
    equal(await container.init.wait(), 4, "exit code")
    with kata.refused("a pause of what has ended"):
        await container.pause()


@CASES.add(
    "pause.unknown-refused",
    title="A container that is not there can't be paused",
    does="pauses an id that nobody has used",
    expects="not_found",
    why="agent-semantics 7.1 (3): typed NOT_FOUND; the Rust agent answers INVALID_ARGUMENT",
)
async def unknown(kata: Kata) -> None:
    with kata.refused("a pause of an unknown container", "not_found"):
        await kata.call("PauseContainer", container_id=kata.fresh())


@CASES.add(
    "resume.running-refused",
    title="A container that is not paused can't be resumed",
    does="resumes a running container",
    expects="a refusal; it runs on",
    why="agent-semantics 1.3, resume not-paused: error; runtime-rs and hyperstart say nothing",
)
async def resume_running(kata: Kata) -> None:
    container = await kata.run()
    with kata.refused("a resume of a running container", go_on=True):
        await container.resume()
    await container.check_alive()


@CASES.add(
    "resume.created-refused",
    title="A resume does not start a container",
    does="resumes a created container",
    expects="a refusal; nothing of it has run, and a start works",
    why="agent-semantics 1.3, resume of paused-from-created: the Rust agent's becomes Running though never started",
)
async def resume_created(kata: Kata) -> None:
    container = await kata.create(kata.spec())
    with kata.refused("a resume of a created container"):
        await container.resume()
    await container.start()
    await container.check_alive()


@CASES.add(
    "resume.after-kill-refused",
    title="A paused container that was killed has ended, and can't be resumed",
    does="kills all of a paused container, waits for its init, and resumes it",
    expects="137, then a refusal",
    why="agent-semantics 6.2 (18): the Rust agent's status stays Paused, and a resume works on corpses",
)
async def resume_after_kill(kata: Kata) -> None:
    container = await kata.ticking()
    await container.pause()
    await container.kill_all()
    with kata.quick("a paused container's end"):
        equal(await container.init.wait(), 137, "exit code")
    with kata.refused("a resume of what has ended"):
        await container.resume()


@CASES.add(
    "pause.kill-works",
    title="KILL to a paused init ends its container",
    does="sends KILL to the init of a paused container",
    expects="exit code 137 soon",
    why="agent-semantics 1.3, signal to PAUSED: KILL must work; a frozen task of cgroup v1 keeps it",
)
async def kill_works(kata: Kata) -> None:
    container = await kata.ticking()
    await container.pause()
    with kata.quick("a paused container's end"):
        await container.init.signal(KILL)
        equal(await container.init.wait(), 137, "exit code")


@CASES.add(
    "pause.signal-waits",
    title="Another signal to a paused container waits until it is resumed",
    does="sends TERM to a paused init that exits with 6 on it, and resumes it",
    expects="no end while paused; exit code 6 after the resume",
    why="agent-semantics 1.3, signal to PAUSED: queue",
)
async def signal_waits(kata: Kata) -> None:
    container = await kata.shell("trap 'exit 6' TERM; echo up-$((2 + 2)); while true; do sleep 0.1; done")
    await container.init.until("up-4\n")
    await container.pause()
    await container.init.signal(TERM)
    codes: list[int] = []

    async def wait() -> None:
        codes.append(await container.init.wait())

    async with kata.together() as nursery:
        nursery.start_soon(wait)
        await kata.pass_time(0.5)
        equal(codes, [], "ends while it was paused:")
        await container.resume()
    equal(codes, [6], "its code")


@CASES.add(
    "pause.input-waits",
    title="Input for a paused process is kept until it is resumed",
    does="writes a line to a paused `cat`, and resumes it",
    expects="the line comes back after the resume",
    why="agent-semantics 7.1 (1): stdio runs beside every state",
)
async def input_waits(kata: Kata) -> None:
    container = await kata.run()
    process = await container.exec("cat")
    await process.write(b"first\n")
    await process.until("first\n")
    await container.pause()
    await process.write(b"second\n")
    seen: list[bytes] = []

    async def read() -> None:
        seen.append(await process.until("\n"))

    async with kata.together() as nursery:
        nursery.start_soon(read)
        await kata.pass_time(0.5)
        equal(seen, [], "output while it was paused:")
        await container.resume()
    equal(seen, [b"second\n"], "what came back")


@CASES.add(
    "pause.again-and-again",
    title="A container can be paused and resumed many times",
    does="pauses and resumes a container ten times in a row",
    expects="each is ok; it still counts",
    why="agent-semantics 1.1: running and paused, to and fro",
)
async def again(kata: Kata) -> None:
    container = await kata.ticking()
    for _ in range(10):
        await container.pause()
        await container.resume()
    await container.init.until("tick-")
    await container.check_alive()
