"""StartContainer: at most once, with a quick error where it is impossible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Cases
from actors.conformance.expect import check, equal

if TYPE_CHECKING:
    from actors.conformance.kata import Kata

__all__ = ["CASES"]

CASES = Cases()


@CASES.add(
    "start.runs-init",
    title="Start lets the init run",
    does="creates a container whose init prints a sum, and starts it",
    expects="the sum, then the end of its output, exit code 0",
    why="virtcontainers startContainer; agent.proto StartContainer",
)
async def runs_init(kata: Kata) -> None:
    container = await kata.create(kata.spec("sh", "-c", "echo sum-$((40 + 2))"))
    await container.start()
    done = await container.init.finish()
    equal(done.stdout, b"sum-42\n", "its output")
    equal(done.code, 0, "exit code")


@CASES.add(
    "start.twice-refused",
    title="A second start is refused at once",
    does="starts a running container again",
    expects="a refusal soon, and the container runs on",
    why="agent-semantics 6.1 (1): the Rust agent opens exec.fifo under its lock and stops answering anybody",
    fatal=True,
)
async def twice(kata: Kata) -> None:
    container = await kata.run()
    with kata.quick("a second start is answered"), kata.refused("a second start"):
        await container.start()
    await container.check_alive()


@CASES.add(
    "start.at-once-one-wins",
    title="Of two starts at once exactly one is done",
    does="starts one container over two links at the same time",
    expects="one ok, one refusal, soon; the container runs",
    why="agent-semantics 6.1 (1)",
    fatal=True,
)
async def at_once(kata: Kata) -> None:
    container = await kata.create(kata.spec())
    other = await kata.open_link()
    outcomes: list[str] = []

    async def start(link: object) -> None:
        outcomes.append(await kata.code("StartContainer", container_id=container.id, link=link))

    with kata.quick("two starts are answered"):
        async with kata.together() as nursery:
            nursery.start_soon(start, kata.link)
            nursery.start_soon(start, other)
    equal(outcomes.count("ok"), 1, "starts that were done:")
    await container.check_alive()


@CASES.add(
    "start.unknown-refused",
    title="A start of a container that is not there is refused",
    does="starts an id that nobody has used",
    expects="not_found",
    why="agent-semantics 7.1 (3): typed NOT_FOUND",
)
async def unknown(kata: Kata) -> None:
    with kata.refused("start of an unknown container", "not_found"):
        await kata.call("StartContainer", container_id=kata.fresh())


@CASES.add(
    "start.after-kill-refused",
    title="What was killed before its start can't be started, and this is told at once",
    does="kills a created container, waits for its end, then starts it",
    expects="wait tells 137; the start is refused soon",
    why="agent-semantics 6.1 (2), (16): nobody will ever open the other side of exec.fifo",
    fatal=True,
)
async def after_kill(kata: Kata) -> None:
    container = await kata.create(kata.spec())
    await container.kill_all()
    equal(await container.init.wait(), 137, "exit code")
    with kata.quick("the start is answered"), kata.refused("a start of what was killed"):
        await container.start()


@CASES.add(
    "start.stopped-refused",
    title="A container whose init has ended can't be started again",
    does="starts a container whose init exits with 5, waits for it, then starts it again",
    expects="a refusal soon: it must be created anew",
    why="agent-semantics 6.1 (15): the table permits it, an agent can't honour it",
    fatal=True,
)
async def stopped(kata: Kata) -> None:
    container = await kata.shell("exit $((2 + 3))")
    equal((await container.init.finish()).code, 5, "exit code")
    with kata.quick("the start is answered"), kata.refused("a start of what has ended"):
        await container.start()


@CASES.add(
    "start.short-lived",
    title="An init that ends at once leaves its output and its exit code",
    does="starts a container whose init prints a line and exits with 9, and looks half a second later",
    expects="the line and 9",
    why="agent-semantics 6.3 (25); kata-containers/runtime#35",
)
async def short_lived(kata: Kata) -> None:
    container = await kata.shell("echo gone-$((5 + 6)); exit $((4 + 5))")
    await kata.pass_time(0.5)
    done = await container.init.finish()
    check(done.stdout == b"gone-11\n" and done.code == 9, "b'gone-11\\n' and exit code 9", done)
