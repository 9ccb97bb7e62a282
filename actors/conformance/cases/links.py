"""Several links to one agent: they share state, but not failures."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from actors.conformance.case import Cases
from actors.conformance.expect import equal
from actors.errors import KatrioError

if TYPE_CHECKING:
    from actors.conformance.kata import Kata

__all__ = ["CASES"]

CASES = Cases()


@CASES.add(
    "link.shares-state",
    title="What was made over one link can be used over another",
    does="makes a container over one link, runs and waits for an exec over a second one",
    expects="the exec's output and code over the second link",
    why="agent-semantics 7.1 (8): long polls and changes go over links of their own",
)
async def shares_state(kata: Kata) -> None:
    container = await kata.run()
    other = await kata.open_link()
    name = kata.fresh("ex")
    process = kata.process("sh", "-c", "echo other-$((8 + 9)); exit 27")
    await kata.call("ExecProcess", container_id=container.id, exec_id=name, process=process, link=other)
    answer = await kata.call("ReadStdout", container_id=container.id, exec_id=name, len=100, link=other)
    equal(answer.data, b"other-17\n", "its output")
    answer = await kata.call("WaitProcess", container_id=container.id, exec_id=name, link=other)
    equal(answer.status, 27, "exit code")


@CASES.add(
    "link.closed-with-calls-under-way",
    title="A link that closes with calls under way harms nothing that it asked about",
    does="waits and reads over a link, closes it, and goes on over another",
    expects="the container and its exec are alive, and the exec's code is told",
    why="agent-semantics 5.1, 6.4 (51): a closed connection drops its handlers",
)
async def closed(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("read line; echo got-$line; exit 28")
    leaving = await kata.open_link()
    names = {"container_id": container.id, "exec_id": process.id}

    async def ask(method: str, **fields: int) -> None:
        try:
            await kata.call(method, link=leaving, **names, **fields)
        except KatrioError:
            # the link was closed on purpose
            return

    async with kata.together() as nursery:
        nursery.start_soon(ask, "WaitProcess")
        nursery.start_soon(lambda: ask("ReadStderr", len=10))
        await kata.pass_time(0.3)
        await leaving.disconnect()
    await process.write(b"on\n")
    await process.until("got-on\n")
    equal(await process.wait(), 28, "exit code")
    await container.check_alive()


@CASES.add(
    "link.many",
    title="Many links are served at once",
    does="opens 30 links and makes a health check over each, while a call waits on the first",
    expects="30 answers within 10 s, and the call that waits is answered when its process ends",
    why="agent-semantics 7.1 (1): one link per actor",
)
async def many(kata: Kata) -> None:
    container = await kata.run()
    process = await container.exec("sleep", "100000")
    seen: list[int] = []
    codes: list[int] = []

    async def wait() -> None:
        codes.append(await process.wait())

    async def check() -> None:
        link = await kata.open_link()
        seen.append((await kata.call("Check", link=link)).status)

    async with kata.together() as waiting:
        waiting.start_soon(wait)
        with kata.quick("30 health checks", 10.0):
            async with kata.together() as nursery:
                for _ in range(30):
                    nursery.start_soon(check)
        await process.signal(9)
    equal(codes, [137], "what the call that waited was told")
    equal(seen, [1] * 30, "their statuses")


@CASES.add(
    "link.calls-side-by-side",
    title="Calls over one link are answered side by side",
    does="makes 50 health checks and 50 calls for the version over a link on which a wait is under way",
    expects="each is answered with what was asked within 10 s, and the wait when its process ends",
    why="ttRPC stream ids, HTTP/2 streams: replies may overtake each other",
)
async def side_by_side(kata: Kata) -> None:
    container = await kata.run()
    process = await container.exec("sleep", "100000")
    statuses: list[int] = []
    versions: list[str] = []
    codes: list[int] = []

    async def wait() -> None:
        codes.append(await process.wait())

    async def check() -> None:
        statuses.append((await kata.call("Check")).status)

    async def version() -> None:
        versions.append((await kata.call("Version")).agent_version)

    async with kata.together() as waiting:
        waiting.start_soon(wait)
        with kata.quick("100 calls", 10.0):
            async with kata.together() as nursery:
                for _ in range(50):
                    nursery.start_soon(check)
                    nursery.start_soon(version)
        await process.signal(9)
    equal(codes, [137], "what the call that waited was told")
    equal(statuses, [1] * 50, "statuses")
    equal(len([each for each in versions if each]), 50, "versions:")


@CASES.add(
    "link.silent-peer",
    title="A peer that connects and says nothing holds up nobody",
    does="opens ten connections that send nothing, and works over another",
    expects="an exec works soon",
    why="every listener; agent-semantics 3.4",
)
async def silent_peer(kata: Kata) -> None:
    streams = [await kata.dial() for _ in range(10)]
    try:
        container = await kata.run()
        with kata.quick("an exec beside silent peers"):
            await container.check_alive()
    finally:
        for stream in streams:
            await trio.aclose_forcefully(stream)


@CASES.add(
    "link.broken-peer",
    title="A peer that sends nonsense costs nobody else anything",
    does="sends random bytes over five connections and closes them, and works over another",
    expects="an exec works soon",
    why="a decoder's failure is its connection's own",
)
async def broken_peer(kata: Kata) -> None:
    container = await kata.run()
    for number in range(5):
        stream = await kata.dial()
        # it may close after the first bytes, which is as good
        with suppress(trio.BrokenResourceError):
            await stream.send_all(bytes((number * 37 + index * 91) % 256 for index in range(64)))
        await trio.aclose_forcefully(stream)
    with kata.quick("an exec after nonsense"):
        await container.check_alive()
