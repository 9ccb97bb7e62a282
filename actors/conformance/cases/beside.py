"""A waiting call, and a closed link, must not affect anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.conformance.case import Cases
from actors.conformance.cases.resources import listen
from actors.conformance.expect import check, equal
from actors.conformance.kata_container import Process
from actors.conformance.together import OK, outcome
from actors.errors import KatrioError

if TYPE_CHECKING:
    from actors.agents.kata.rpclink import RpcLink
    from actors.conformance.kata import Kata
    from actors.conformance.kata_container import Container

__all__ = ["CASES"]

CASES = Cases()

LINKS = 8
SOON = 8.0


async def _wait(kata: Kata, process: Process, link: RpcLink, codes: list[int]) -> None:
    told = await kata.call("WaitProcess", link=link, container_id=process.container, exec_id=process.id)
    codes.append(told.status)


async def _until_cut(kata: Kata, process: Process, link: RpcLink) -> None:
    try:
        await _wait(kata, process, link, [])
    except KatrioError:
        # the link was cut on purpose
        return


@CASES.add(
    "race.grandchild-holds-output",
    title="A process in the background that holds the output does not hold the wait",
    does="reads the output of a shell that leaves a sleeping child behind and exits with 6; waits; then kills all",
    expects="6 within 8 s; the end of the output within 8 s of the kill, if not before",
    why="agent-semantics 6.3 (37), (38): kata-agent #370, kata-containers #1160, #4747",
)
async def grandchild_holds_output(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("read line; sleep 1000 & exit 6")
    seen: list[bytes] = []

    async def read() -> None:
        # reading starts before the end is reported: after it an agent may forget the process
        seen.append(await process.rest())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await kata.under_way()
        await process.write(b"\n")
        with kata.quick("its exit is told", SOON):
            equal(await process.wait(), 6, "exit code")
        await container.kill_all()
        await kata.comes("the end of its output is told", seen, SOON)
    equal(seen, [b""], "its output is")


@CASES.add(
    "race.reader-gone",
    title="A reader that goes away before there was anything takes nothing along",
    does="reads an output that is silent; the reader's link is cut; then the process prints, and another reads",
    expects="every byte reaches the other reader",
    why="agent-semantics 6.4 (51): a read that was given up swallows the next chunk",
)
async def reader_gone(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("read line; echo first; read line; echo second")
    link = await kata.open_link()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_read_until_cut, kata, process, link)
        await kata.under_way(link)
        await link.disconnect()
    await kata.pass_time(0.1)
    await process.write(b"\n\n")
    equal(await process.rest(), b"first\nsecond\n", "its output is")


async def _read_until_cut(kata: Kata, process: Process, link: RpcLink) -> None:
    try:
        await kata.call("ReadStdout", link=link, container_id=process.container, exec_id=process.id, len=4096)
    except KatrioError:
        # the link was cut on purpose
        return


@CASES.add(
    "race.pending-calls",
    title="Calls that wait hold up nobody",
    does="leaves a wait and two reads of one container pending, and works with it and with another",
    expects="a check, an exec in each, a pause and a resume are answered within 8 s",
    why="agent-semantics 6.5 (60), 7.1 (1): one mutex for all calls: one stuck call is a stuck agent",
)
async def pending_calls(kata: Kata) -> None:
    busy, other = await kata.run(), await kata.run()
    async with trio.open_nursery() as nursery:
        for pending in (busy.init.wait(), busy.init.read(), busy.init.read("ReadStderr")):
            nursery.start_soon(outcome, pending)
        await kata.under_way()
        with kata.quick("others are answered beside pending calls", SOON):
            await kata.call("Check")
            await busy.check_alive()
            await other.check_alive()
            await _freeze(busy)
        nursery.cancel_scope.cancel()


async def _freeze(container: Container) -> None:
    paused = await outcome(container.pause())
    if paused == OK:
        await container.resume()


@CASES.add(
    "race.links-apart",
    title="A link that ends concerns nobody else",
    does="opens eight links, waits over each, and cuts every second one",
    expects="the waits over the others are answered when the process has ended",
    why="agent-semantics 6.5 (55), (56): a shared connection is closed under the others' calls",
)
async def links_apart(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("read line; exit 8")
    links = [await kata.open_link() for _ in range(LINKS)]
    codes: list[int] = []
    async with trio.open_nursery() as nursery:
        for link in links[::2]:
            nursery.start_soon(_until_cut, kata, process, link)
        for link in links[1::2]:
            nursery.start_soon(_wait, kata, process, link, codes)
        await kata.under_way(*links)
        for link in links[::2]:
            await link.disconnect()
        await kata.pass_time(0.1)
        await process.close_stdin()
    equal(codes, [8] * (LINKS // 2), "codes are")


@CASES.add(
    "race.link-ends-process-lives",
    title="What was made over a link outlives it",
    does="makes a container and an exec over a link of their own, and cuts it",
    expects="both still run",
    why="agent-semantics 5.1: a disconnect drops handlers, never processes",
)
async def link_ends_process_lives(kata: Kata) -> None:
    container = kata.container_of(kata.fresh())
    name = kata.fresh("ex")
    link = await kata.open_link()
    spec, process = kata.spec(), kata.process("sh", "-c", "read line; exit 3")
    await kata.call("CreateContainer", link=link, container_id=container.id, exec_id=container.id, OCI=spec)
    await kata.call("StartContainer", link=link, container_id=container.id)
    await kata.call("ExecProcess", link=link, container_id=container.id, exec_id=name, process=process)
    await link.disconnect()
    await kata.pass_time(0.2)
    await container.check_alive()
    made = Process(kata, container.id, name)
    await made.close_stdin()
    equal(await made.wait(), 3, "exit code")


@CASES.add(
    "race.oom-poll",
    title="A poll for memory kills waits, and holds nobody up",
    does="polls for a second, and works beside it; news of what other cases caused may come late",
    expects="no kill told of a container in which none was, and no flood of answers; an exec runs meanwhile",
    why="agent-semantics 6.5 (64): kata-containers #4376: a poll without an end floods the log",
    alone=True,
)
async def oom_poll(kata: Kata) -> None:
    told: list[str] = []
    container = await kata.run()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, kata, await kata.open_link(), told)
        await kata.pass_time(1.0)
        await container.check_alive()
        check(container.id not in told, "no kill for memory in a container that idles", told)
        nursery.cancel_scope.cancel()
