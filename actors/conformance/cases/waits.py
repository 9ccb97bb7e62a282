"""WaitProcess: any number of waiters, early and late, and their results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Cases, FallsShort
from actors.conformance.expect import check, equal, is_loss
from actors.errors import KatrioError

if TYPE_CHECKING:
    from actors.agents.kata.rpclink import RpcLink
    from actors.conformance.kata import Kata
    from actors.conformance.kata_container import Process

__all__ = ["CASES"]

CASES = Cases()


@CASES.add(
    "wait.exit-code",
    title="An exec's exit code is told",
    does="runs shells that exit with 0, 7 and 255, reads each one's output to its end and waits",
    expects="0, 7 and 255",
    why="agent.proto WaitProcess",
)
async def exit_code(kata: Kata) -> None:
    container = await kata.run()
    for code in (0, 7, 255):
        equal((await container.sh(f"exit $(({code} + 0))")).code, code, "exit code")


@CASES.add(
    "wait.init-exit-code",
    title="An init's exit code is told",
    does="starts a container whose init exits with 42 after it printed a line, and waits before reading",
    expects="42",
    why="agent-semantics 1.3, wait after exit, first time",
)
async def init_exit_code(kata: Kata) -> None:
    container = await kata.shell("exit $((40 + 2))")
    equal(await container.init.wait(), 42, "exit code")


@CASES.add(
    "wait.signal-code",
    title="Death by signal N is told as 128 + N",
    does="ends three execs with TERM, KILL and INT, and waits for each",
    expects="143, 137 and 130",
    why="agent-semantics 1.3: exit code by signal; kata-containers#13251: raw N until June 2026",
)
async def signal_code(kata: Kata) -> None:
    container = await kata.run()
    for number in (15, 9, 2):
        process = await container.exec("sleep", "100000")
        await process.signal(number)
        equal(await process.wait(), 128 + number, "exit code")


@CASES.add(
    "wait.again",
    title="A wait after a completed wait is told the same",
    does="waits three times for an exec that exits with 11",
    expects="11 each time",
    why="agent-semantics 1.3, 7.1 (6): cached code; the Rust agent forgets the process with the first answer",
)
async def again(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("exit $((5 + 6))")
    for _ in range(3):
        equal(await process.wait(), 11, "exit code")


@CASES.add(
    "wait.late",
    title="Who waits for the first time long after the end is told the code",
    does="runs an exec that exits with 12 and an init that exits with 13, and waits for both a second later",
    expects="12 and 13",
    why="agent-semantics 6.3 (25): kata-containers/runtime#35",
)
async def late(kata: Kata) -> None:
    container = await kata.shell("read line; exit $((6 + 7))")
    process = await container.spawn("exit $((6 + 6))")
    # an exec that is alive when its init ends is killed with it
    await process.rest()
    await container.init.write(b"go\n")
    await kata.pass_time(1.0)
    equal(await process.wait(), 12, "the exec's exit code")
    equal(await container.init.wait(), 13, "the init's exit code")


@CASES.add(
    "wait.many-waiters",
    title="All who wait for one process are told the same code",
    does="waits for one exec from 8 tasks over two links, then lets it end with 21",
    expects="21 for each of them",
    why="agent-semantics 6.3 (32): an agent gave the code to one waiter alone; kata-containers/runtime#1131",
)
async def many_waiters(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("read line; exit $((20 + 1))")
    other = await kata.open_link()
    codes: list[int] = []

    async def wait(link: RpcLink) -> None:
        answer = await kata.call("WaitProcess", container_id=container.id, exec_id=process.id, link=link)
        codes.append(answer.status)

    async with kata.together() as nursery:
        for number in range(8):
            nursery.start_soon(wait, (kata.link, other)[number % 2])
        await kata.under_way(kata.link, other)
        await process.write(b"go\n")
    equal(codes, [21] * 8, "their codes")


@CASES.add(
    "wait.a-waiter-leaves",
    title="A waiter that gives up does not spoil it for the others",
    does="waits over two links, closes one of them, then lets the exec end with 22",
    expects="22 for the other, and no other code for one that comes later",
    why="agent-semantics 6.3 (33): the entry is not removed early",
)
async def a_waiter_leaves(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("read line; exit $((20 + 2))")
    leaving = await kata.open_link()
    codes: list[int] = []

    async def leave() -> None:
        try:
            await kata.call("WaitProcess", container_id=container.id, exec_id=process.id, link=leaving)
        except KatrioError:
            # its link was closed on purpose
            return

    async def wait() -> None:
        codes.append(await process.wait())

    async with kata.together() as nursery:
        nursery.start_soon(leave)
        nursery.start_soon(wait)
        await kata.under_way(leaving, kata.link)
        await leaving.disconnect()
        await kata.pass_time(0.3)
        await process.write(b"go\n")
    equal(codes, [22], "the other's code")
    await process.still_tells(22)


@CASES.add(
    "wait.while-paused",
    title="A wait goes on while its container is paused",
    does="waits for an exec before and during a pause of its container, then lets the exec end with 23",
    expects="no answer while paused, 23 at the end, twice",
    why="agent-semantics 6.2 (23): a Go client refuses it",
)
async def while_paused(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("read line; exit $((20 + 3))")
    codes: list[int] = []

    async def wait() -> None:
        codes.append(await process.wait())

    async with kata.together() as nursery:
        nursery.start_soon(wait)
        await kata.under_way()
        await container.pause()
        nursery.start_soon(wait)
        await kata.under_way()
        equal(codes, [], "answers while it was paused:")
        await container.resume()
        await process.write(b"go\n")
    equal(codes, [23, 23], "its codes")


@CASES.add(
    "wait.grandchild-holds-output",
    title="A wait does not wait for a background child that holds the output",
    does="runs a shell that leaves a sleep in the background with its stdout, and exits with 24",
    expects="24 soon",
    why="agent-semantics 6.3 (37): kata-containers/agent#370, kata-containers#1160, #4747",
)
async def grandchild(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("sleep 100000 & exit $((20 + 4))")
    with kata.quick("the wait is answered"):
        equal(await process.wait(), 24, "exit code")


@CASES.add(
    "wait.unknown-process-refused",
    title="A wait for a process that is not there is refused",
    does="waits for an exec id that nobody has used",
    expects="not_found soon",
    why="agent-semantics 5.1: unknown process NOT_FOUND",
)
async def unknown_process(kata: Kata) -> None:
    container = await kata.run()
    with kata.quick("the wait is answered"), kata.refused("a wait for an unknown process", "not_found"):
        await kata.call("WaitProcess", container_id=container.id, exec_id=kata.fresh("ex"))


@CASES.add(
    "wait.unknown-container-refused",
    title="A wait in a container that is not there is refused",
    does="waits for the init of an id that nobody has used",
    expects="not_found soon",
    why="agent-semantics 7.1 (3): typed NOT_FOUND; the Rust agent answers INVALID_ARGUMENT",
)
async def unknown_container(kata: Kata) -> None:
    name = kata.fresh()
    with kata.quick("the wait is answered"), kata.refused("a wait in an unknown container", "not_found"):
        await kata.call("WaitProcess", container_id=name, exec_id=name)


@CASES.add(
    "wait.empty-exec-id-is-init",
    title="A wait without an exec id is for the init",
    does="waits with an empty exec id for a container whose init exits with 25",
    expects="25",
    why="kata-agent find_process: an empty exec id means the init",
)
async def empty_exec_id(kata: Kata) -> None:
    container = await kata.shell("exit $((20 + 5))")
    answer = await kata.call("WaitProcess", container_id=container.id, exec_id="")
    equal(answer.status, 25, "exit code")


@CASES.add(
    "wait.keeps-output",
    title="A wait that comes before the reader loses no output",
    does="runs an exec that prints 1000 lines, waits for it, and reads afterwards",
    expects="all 1000 lines",
    why="agent-semantics 6.4 (45): WaitProcess closes the streams; kata-containers#1713, #9186, agent#125",
)
async def keeps_output(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo line-$i; done; exit $((20 + 6))")
    equal(await process.wait(), 26, "exit code")
    data = await _readable(process)
    lines = data.split()
    check(len(lines) == 1000 and lines[-1:] == [b"line-1000"], "1000 lines, the last line-1000", len(lines))


async def _readable(process: Process) -> bytes:
    try:
        return await process.rest()
    except KatrioError as error:
        if is_loss(error):
            raise
        raise FallsShort("its output after the wait", f"{error}") from error


@CASES.add(
    "wait.does-not-block-others",
    title="A wait holds up nothing else",
    does="waits for an exec that does not end, and meanwhile runs, signals and reads over the same link",
    expects="each is answered soon",
    why="agent-semantics 7.1 (1): wait runs beside everything; 6.3 (41): one lock for all",
)
async def does_not_block(kata: Kata) -> None:
    container = await kata.run()
    process = await container.exec("sleep", "100000")
    codes: list[int] = []

    async def wait() -> None:
        codes.append(await process.wait())

    async with kata.together() as nursery:
        nursery.start_soon(wait)
        await kata.under_way()
        with kata.quick("what runs beside a wait is answered"):
            await container.check_alive()
            await process.signal(15)
    equal(codes, [143], "its code")
