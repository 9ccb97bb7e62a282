"""The table of Kata 1.x's agent, 1.13.0-alpha0: what it was seen to do, and how the double is seen to do it.

Seen as PID 1 of a VM, over gRPC in streams of yamux on a virtio-serial port, on 2026-11-30.
"""

from __future__ import annotations

import signal
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
import trio

from actors.conformance.expect import is_loss
from actors.errors import KatrioError
from actors.wire.spec import TerminalSize
from tests.support.doubles.power import Options
from tests.support.doubles.rows import Rows, ended, failing, hangs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.conformance.kata import Kata

__all__ = ["NOT_SHOWN", "ROWS"]

ROWS = Rows()
NOT_SHOWN: Mapping[str, str] = MappingProxyType(
    {"foreign bytes": "they are sent to the port itself, not over a link of the agent's: test_doubles does it"}
)
SIZE = TerminalSize(rows=24, columns=80)
# busybox has no word for 0x0
FIRST_SIZE = "stty size; echo begun; read x; stty size"


async def _dies(kata: Kata, method: str, **fields: Any) -> None:
    """Of a call; the answer never comes."""
    with pytest.raises(KatrioError) as caught:
        await kata.call(method, **fields)
    assert is_loss(caught.value), caught.value
    await ended(kata.target)


@ROWS.add("no OCI", "CreateContainer without a specification: PID 1 panics, and the VM is gone", ends=True)
async def no_specification(kata: Kata) -> None:
    await _dies(kata, "CreateContainer", container_id="c1", exec_id="c1")


@ROWS.add("no process", "so does ExecProcess without a process", ends=True)
async def no_process(kata: Kata) -> None:
    container = await kata.run()
    await _dies(kata, "ExecProcess", container_id=container.id, exec_id="ex1")


@ROWS.add("huge read", "a read of a huge length maps it, and the VM dies", ends=True)
async def huge_read(kata: Kata) -> None:
    container = await kata.run()
    await _dies(kata, "ReadStdout", container_id=container.id, exec_id=container.id, len=2**32 - 1)


@ROWS.add("first wait", "a process is forgotten at its first wait")
async def forgets(kata: Kata) -> None:
    process = await (await kata.run()).spawn("echo unread; exit 3")
    assert await process.wait() == 3
    await failing(process.wait, "not_found")
    await failing(process.read, "not_found")


@ROWS.add("terminal", "a terminal's end is an error of /dev/ptmx")
async def terminal_end(kata: Kata) -> None:
    process = await (await kata.run()).exec("echo", "hello", tty=True)
    await process.until("hello\r\n")
    await failing(process.read, "UNKNOWN", "read /dev/ptmx: input/output error")


@ROWS.add("consoleSize", "it is never read: a terminal begins at 0x0")
async def console_size(kata: Kata) -> None:
    container = await kata.run("sh", "-c", FIRST_SIZE, tty=True, size=SIZE)
    assert b"24 80" not in await container.init.until("begun\r\n")
    await container.init.resize(24, 80)
    await container.init.write(b"\n")
    await container.init.until("24 80\r\n")


@ROWS.add("signal", "one to what has ended says that there is no such process")
async def signal_of_ended(kata: Kata) -> None:
    container = await kata.run()
    process = await container.exec("true")
    await process.rest()
    await kata.pass_time(0.3)
    await failing(partial(process.signal, signal.SIGTERM), "UNKNOWN", "no such process")
    await container.kill_all()
    await kata.pass_time(0.3)
    await failing(partial(container.init.signal, signal.SIGKILL), "UNKNOWN", "no such process")


@ROWS.add("missing", "a missing program and a missing directory have no code of their own")
async def missing(kata: Kata) -> None:
    container = await kata.run()
    await failing(partial(container.exec, "no-such-program"), "UNKNOWN")
    await failing(partial(container.exec, "true", cwd="/no/such"), "UNKNOWN")
    await failing(partial(kata.create, kata.spec("no-such-program")), "UNKNOWN")


@ROWS.add("hostname", "the sandbox's is (none)")
async def hostname(kata: Kata) -> None:
    assert (await (await kata.run()).sh("hostname")).stdout == b"(none)\n"


@ROWS.add("pause", "a container that was only created can be paused and resumed")
async def paused_created(kata: Kata) -> None:
    container = await kata.create(kata.spec())
    await container.pause()
    await container.resume()


@ROWS.add("SIGTERM", "to an init without a handler for it, it is SIGKILL")
async def term(kata: Kata) -> None:
    idle = await kata.run()
    await idle.init.signal(signal.SIGTERM)
    assert await idle.init.wait() == 128 + signal.SIGKILL
    deaf = await kata.shell("trap '' TERM; echo ready; while :; do sleep 0.1; done")
    await deaf.init.until("ready\n")
    await deaf.init.signal(signal.SIGTERM)
    await hangs(deaf.init.wait, 1)


@ROWS.add("one port", "several connections work over the one serial port, side by side")
async def connections(kata: Kata) -> None:
    container = await kata.run()
    links = [await kata.open_link() for _ in range(8)]
    async with kata.together() as nursery:
        for link in links:
            nursery.start_soon(partial(kata.call, "StatsContainer", link=link, container_id=container.id))


@ROWS.add(
    "slow port", "its serial port may be slow: each read of it takes its time", options=Options(delay_seconds=0.3)
)
async def slow(kata: Kata) -> None:
    began = trio.current_time()
    await kata.call("Check")
    assert trio.current_time() - began >= 0.3
    await (await kata.run()).check_alive()
