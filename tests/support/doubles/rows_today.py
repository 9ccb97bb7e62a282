"""The table of today's kata-agent, 4.1.0: what it was seen to do, and how the double is seen to do it.

Seen over ttRPC on a unix socket, with control groups v1 and without a VM, on 2026-11-30. The letters and numbers are those
of the code in `today`.
"""

from __future__ import annotations

import signal
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec
import trio

from actors.conformance.raw_ttrpc import AGENT, frame, open_raw, request
from actors.schemas.agent import StringUser
from actors.schemas.network import IPFamily
from actors.schemas.oci import POSIXRlimit, Process
from actors.schemas.rpcs import RPCS
from actors.wire.spec import ResourceSpec, TerminalSize
from tests.support.doubles.power import Options
from tests.support.doubles.rows import Rows, ended, failing, hangs, one_more_link
from transports.errors import StatusCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.conformance.kata import Kata
    from actors.conformance.kata_container import Container

__all__ = ["NOT_SHOWN", "ROWS"]

ROWS = Rows()
# what the double does not do, and why
NOT_SHOWN: Mapping[str, str] = MappingProxyType(
    {
        "A1: two starts at once can both be told ok": "a race for a fifo within microseconds; the double blocks at the second",
        "speed": "a double is as fast as our own guest",
    }
)
MIB = 1024 * 1024
SIZE = TerminalSize(rows=24, columns=80)
# busybox has no word for 0x0
FIRST_SIZE = "stty size; echo begun; read x; stty size"
TERM_IGNORED = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
HELD_PIPE = "sleep 1000 & echo out; read x"


@ROWS.add(
    "A1", "a second start blocks for ever, and the whole sandbox with it; Health and Version stay green", ends=True
)
async def second_start(kata: Kata) -> None:
    container, other = await kata.run(), await kata.run()
    await hangs(container.start)
    await hangs(other.pause)
    await hangs(other.init.wait)
    await kata.call("Check")
    assert (await kata.call("Version")).agent_version == "4.1.0"
    await hangs(kata.target.check_alive)


@ROWS.add("A1 ended", "so does the start of one whose init was killed before", ends=True)
async def start_of_killed(kata: Kata) -> None:
    container = await kata.create(kata.spec())
    await container.kill_all()
    await container.init.wait()
    await hangs(container.start)
    await hangs(partial(kata.call, "CreateSandbox", sandbox_id="more"))


@ROWS.add("A2", "with one processor Health hangs as well", options=Options(one_processor=True), ends=True)
async def health_hangs(kata: Kata) -> None:
    container = await kata.run()
    await kata.call("Check")
    await hangs(container.start)
    await hangs(partial(kata.call, "Check"))


@ROWS.add(
    "A3", "an exec into a paused container has the lock until its link closes; a resume that was given up is done"
)
async def exec_of_paused(kata: Kata) -> None:
    container = await kata.ticking()
    await container.init.until("tick-1\n")
    await container.pause()
    await container.init.settled()
    rpc = RPCS["ExecProcess"]
    async with one_more_link(kata) as link, trio.open_nursery() as nursery:
        request = rpc.request(container_id=container.id, exec_id="ex1", process=kata.process("true"))
        nursery.start_soon(link.call, rpc, request)
        await kata.pass_time(0.2)
        await hangs(container.resume, 1)
        nursery.cancel_scope.cancel()
    assert await container.init.read()
    await failing(container.resume, "INTERNAL", "not paused")


@ROWS.add("A4", "a second CreateSandbox empties the roots of running containers, and fails", ends=True, simulated=True)
async def second_sandbox(kata: Kata) -> None:
    container = await kata.run()
    await container.check_alive()
    await failing(partial(kata.call, "CreateSandbox", sandbox_id="second"), "INTERNAL")
    await failing(partial(container.exec, "true"), "INTERNAL", "no such executable")


@ROWS.add("A5", "a create with a living id kills the owner of the id")
async def create_kills(kata: Kata) -> None:
    owner = await kata.run()
    await failing(partial(kata.create, kata.spec(), named=owner.id), "INTERNAL", "exec fifo exists")
    await failing(owner.pause, "invalid_argument")


@ROWS.add("A6", "a failed create leaves its directory: the next create of that id fails, and the third works")
async def create_leaves(kata: Kata) -> None:
    name = kata.fresh()
    await failing(partial(kata.create, kata.spec("no-such-program"), named=name), "INTERNAL")
    await failing(partial(kata.create, kata.spec(), named=name), "INTERNAL", "ENOENT")
    await (await kata.create(kata.spec(), named=name)).start()


@ROWS.add("A7", "a limit of processes is not applied")
async def pids_limit(kata: Kata) -> None:
    container = await kata.run(resources=ResourceSpec(pids=2))
    done = await container.sh("for i in 1 2 3 4 5 6; do sleep 0.2 & done; wait; echo all")
    assert done.stdout == b"all\n", done


@ROWS.add("A8", "what a real-time signal ends is never told")
async def real_time_signal(kata: Kata) -> None:
    process = await (await kata.run()).exec("sleep", "1000")
    await process.signal(34)
    assert await process.rest() == b""
    await hangs(process.wait)


@ROWS.add("A9", "an unknown rlimit is never answered, and nobody else is held up")
async def unknown_rlimit(kata: Kata) -> None:
    container = await kata.run()
    wanted = msgspec.structs.replace(kata.process("true"), rlimits=(POSIXRlimit(type="RLIMIT_FUN", hard=1, soft=1),))
    await hangs(partial(kata.call, "ExecProcess", container_id=container.id, exec_id="ex1", process=wanted))
    spec = msgspec.structs.replace(kata.spec(), process=wanted)
    await hangs(partial(kata.create, spec))
    await container.check_alive()


@ROWS.add(
    "A10", "a signal to what ended and was not waited for goes to who has its pid", options=Options(reuses_pids=True)
)
async def stale_pid(kata: Kata) -> None:
    container = await kata.run()
    first = await container.exec("true")
    await first.rest()
    await kata.pass_time(0.3)
    second = await container.exec("sleep", "1000")
    await first.signal(signal.SIGKILL)
    assert await second.wait() == 128 + signal.SIGKILL


@ROWS.add("A11", "ListInterfaces swaps the families of addresses")
async def families(kata: Kata) -> None:
    found = {each.device: each for each in (await kata.call("ListInterfaces")).Interfaces}
    told = {address.address: address.family for address in found["lo"].IPAddresses}
    assert told["127.0.0.1"] == IPFamily.v6, told


@ROWS.add("A12", "a terminal begins at 0x0, whatever consoleSize says; a resize after the start is seen")
async def console_size(kata: Kata) -> None:
    container = await kata.run("sh", "-c", FIRST_SIZE, tty=True, size=SIZE)
    assert b"24 80" not in await container.init.until("begun\r\n")
    await container.init.resize(24, 80)
    await container.init.write(b"\n")
    await container.init.until("24 80\r\n")
    process = await (await kata.run()).spawn(FIRST_SIZE, tty=True, size=SIZE)
    assert b"24 80" not in await process.until("begun\r\n")


@ROWS.add(
    "A13", "a read that is pending at an end has its own end within 0.5 s, a later one with whoever holds the pipe"
)
async def held_pipe(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn(HELD_PIPE)
    await process.until("out\n")

    async def pending() -> None:
        assert await process.read() == b""

    async with kata.together() as nursery:
        nursery.start_soon(pending)
        await kata.pass_time(0.5)
        await process.write(b"\n")
    await hangs(process.read, 1)
    await container.kill_all()
    assert await process.read() == b""


@ROWS.add("A14", "the first OOM kill is never told, and each later one with the one after", simulated=True)
async def oom_late(kata: Kata) -> None:
    told: list[str] = []
    containers = [await kata.run(resources=ResourceSpec(memory_bytes=32 * MIB)) for _ in range(3)]

    async def listen() -> None:
        while True:
            told.append((await kata.call("GetOOMEvent")).container_id)

    kata.start_soon(listen)
    for count, container in enumerate(containers):
        process = await container.exec("dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")
        assert await process.wait() == 128 + signal.SIGKILL
        await kata.pass_time(0.5)
        assert told == [each.id for each in containers[:count]]


@ROWS.add("A15", "who waits for what is removed is told of an invalid id")
async def removed_waiter(kata: Kata) -> None:
    container = await kata.run()
    async with kata.together() as nursery:
        nursery.start_soon(failing, container.init.wait, "INTERNAL", "Invalid container id")
        await kata.pass_time(0.2)
        await container.remove()


@ROWS.add("A16", "one answer to a wait for each process; then it is unknown, and its unread output is gone")
async def forgets(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("read x; echo unread; exit 3", named="ex-same")
    codes: list[int] = []

    async def wait() -> None:
        codes.append(await process.wait())

    async with kata.together() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait)
        await kata.pass_time(0.5)
        await process.write(b"\n")
    assert codes == [3, 3]
    await failing(process.wait, "not_found")
    await failing(process.read, "not_found")
    await failing(partial(process.signal, 9), "not_found")
    again = await container.spawn("exit 4", named="ex-same")
    assert await again.wait() == 4
    await container.kill_all()
    assert await container.init.wait() == 128 + signal.SIGKILL
    await failing(container.init.wait, "not_found")


@ROWS.add("A16 cut", "a waiter whose link was cut loses nothing")
async def cut_waiter(kata: Kata) -> None:
    process = await (await kata.run()).spawn("sleep 0.5; exit 5")
    rpc = RPCS["WaitProcess"]
    async with one_more_link(kata) as link, trio.open_nursery() as nursery:
        nursery.start_soon(link.call, rpc, rpc.request(container_id=process.container, exec_id=process.id))
        await kata.pass_time(0.2)
        nursery.cancel_scope.cancel()
    assert await process.wait() == 5


@ROWS.add("A17", "a container that was only created, and one whose init ended, can be paused and resumed")
async def paused_dead(kata: Kata) -> None:
    created, stopped = await kata.create(kata.spec()), await kata.run("true")
    assert await stopped.init.wait() == 0
    for container in (created, stopped):
        await container.pause()
        await failing(container.pause, "INTERNAL", "current status is")
        await container.resume()
        await failing(container.resume, "INTERNAL", "not paused")


@ROWS.add("A18", "a terminal's end is INTERNAL with EIO")
async def terminal_end(kata: Kata) -> None:
    process = await (await kata.run()).exec("echo", "hello", tty=True)
    await process.until("hello\r\n")
    await failing(process.read, "INTERNAL", "EIO")


@ROWS.add("A19", "without a process in the specification it runs sh")
async def no_process(kata: Kata) -> None:
    container = await kata.create(msgspec.structs.replace(kata.spec(), process=Process(args=(), cwd="/")))
    await container.start()
    await container.init.write(b"echo it-is-$((40 + 2))\n")
    await container.init.until("it-is-42\n")


@ROWS.add("A20", "processors that are not there are accepted")
async def no_such_processors(kata: Kata) -> None:
    resources = ResourceSpec(cpuset_cpus="0-4000")
    container = await kata.run(resources=resources)
    wanted = kata.spec(resources=resources).linux
    assert wanted is not None
    await kata.call("UpdateContainer", container_id=container.id, resources=wanted.resources)
    await container.check_alive()


@ROWS.add("A21", "CloseStdin hangs up a terminal, and an empty write is an end of input")
async def closing(kata: Kata) -> None:
    container = await kata.run()
    shell = await container.exec("sh", "-c", "echo ready; sleep 1000", tty=True)
    await shell.until("ready\r\n")
    await shell.close_stdin()
    assert await shell.wait() == 128 + signal.SIGHUP
    cat = await container.exec("cat")
    await cat.write(b"text")
    assert await cat.write(b"") == 0
    assert (await cat.finish()).stdout == b"text"


@ROWS.add("A22", "a used stream id is accepted, and an unreadable payload is UNKNOWN")
async def frames(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        for payload, code in ((b"", 0), (b"", 0), (b"\xff\xff", StatusCode.UNKNOWN)):
            await raw.send(frame(1, request(payload=payload)))
            assert (await raw.answer(1)).code == code


@ROWS.add("A23", "SIGKILL to a paused init ends nothing by itself, and a resume does")
async def killed_paused(kata: Kata) -> None:
    container = await kata.run()
    await container.pause()
    await container.init.signal(signal.SIGKILL)
    codes: list[int] = []

    async def wait() -> None:
        # one that is given up would take the one answer along
        codes.append(await container.init.wait())

    async with kata.together() as nursery:
        nursery.start_soon(wait)
        await kata.pass_time(1)
        assert codes == []
        await container.resume()
    assert codes == [128 + signal.SIGKILL]


@ROWS.add("string_user", "a user by name is never read: it runs as uid 0")
async def by_name(kata: Kata) -> None:
    container = await kata.run()
    nobody = StringUser(uid="nobody", gid="")
    process = kata.process("id", "-u")
    await kata.call("ExecProcess", container_id=container.id, exec_id="ex-nobody", string_user=nobody, process=process)
    read = await kata.call("ReadStdout", container_id=container.id, exec_id="ex-nobody", len=100)
    assert read.data == b"0\n"


@ROWS.add("SIGTERM", "to an init without a handler for it, it is SIGKILL")
async def term(kata: Kata) -> None:
    idle = await kata.run()
    await idle.init.signal(signal.SIGTERM)
    assert await idle.init.wait() == 128 + signal.SIGKILL
    deaf = await kata.shell(TERM_IGNORED)
    await deaf.init.until("ready\n")
    await deaf.init.signal(signal.SIGTERM)
    await hangs(deaf.init.wait, 1)


@ROWS.add("codes", "errors have codes of their own, and no details")
async def codes(kata: Kata) -> None:
    nobody: Container = kata.container_of("nobody-here")
    container = await kata.run()
    await failing(nobody.init.wait, "invalid_argument")
    await failing(nobody.pause, "invalid_argument")
    await failing(nobody.start, "INTERNAL")
    await failing(nobody.remove, "INTERNAL")
    await failing(container.resume, "INTERNAL")
    await failing(partial(container.exec, "no-such-program"), "INTERNAL")
    await failing(partial(container.init.resize, 10, 10), "UNAVAILABLE", "no tty")
    await failing(
        partial(kata.call, "GetDiagnosticData", container_id=container.id, log_type="katrio.state"), "invalid_argument"
    )
    await failing(partial(kata.call, "ListProcesses", container_id=container.id), "unsupported")
    await failing(partial(kata.call, "WaitProcess", container_id=container.id, exec_id="nobody"), "not_found")


@ROWS.add("backtrace", "a backtrace of up to 13 KB stands in an error's message")
async def backtrace(kata: Kata) -> None:
    async with open_raw(kata) as raw:
        await raw.send(frame(1, request("StartContainer", service=AGENT)))
        answer = await raw.answer(1)
    assert answer.code == StatusCode.INTERNAL
    assert "\n\nStack backtrace:\n   0: " in answer.message, answer.message
    assert 10_000 < len(answer.message) < 14_000


@ROWS.add("sandbox", "the agent ends with its sandbox", ends=True)
async def ends_with_sandbox(kata: Kata) -> None:
    await kata.run()
    await kata.call("DestroySandbox")
    await kata.pass_time(0.5)
    await ended(kata.target)
