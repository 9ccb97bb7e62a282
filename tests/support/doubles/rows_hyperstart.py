"""The table of a real hyperstart, 1.1.0: what it was seen to do, and how the double is seen to do it.

Seen as init of a VM, on its two virtio-serial ports, on 2026-11-30.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
import trio

from actors.errors import KatrioError
from tests.support.doubles.rows import Rows, ended
from transports.hyperstart import messages
from transports.hyperstart.codec import Code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.conformance.hyperstart import Hyperstart

__all__ = ["NOT_SHOWN", "ROWS"]

ROWS = Rows()
NOT_SHOWN: Mapping[str, str] = MappingProxyType(
    {
        "READY": "it is for the first host that dials, and the suite is that one: test_doubles dials by itself",
        "exits with 129 to 192": "the double can't tell an exit with 128 + N from a death by signal N: both are told as 0",
    }
)


@ROWS.add("status", "of what a signal ended it says 0, also when the process sent it to itself")
async def status(guest: Hyperstart) -> None:
    container = await guest.run()
    assert (await container.sh("kill -9 $$")).code == 0
    for code in (7, 255):
        assert (await container.sh(f"exit {code}")).code == code


@ROWS.add("missing directory", "an exec in one is a segmentation fault of init: the VM is gone", ends=True)
async def missing_directory(guest: Hyperstart) -> None:
    container = await guest.run()
    with pytest.raises(KatrioError):
        await container.exec("true", cwd="/no/such")
    await ended(guest.target)


@ROWS.add("missing user", "an exec as one is a segmentation fault of init as well", ends=True)
async def missing_user(guest: Hyperstart) -> None:
    container = await guest.run()
    with pytest.raises(KatrioError):
        await container.exec("true", user="nosuch")
    await ended(guest.target)


@ROWS.add("input", "more than 10 KB that nobody reads are dropped")
async def input_dropped(guest: Hyperstart) -> None:
    container = await guest.run()
    process = await container.spawn("sleep 1; cat | wc -c")
    for _ in range(40):
        await process.write(b"x" * 512)
    await trio.sleep(1.5)
    await process.close_stdin()
    counted = int((await process.finish()).stdout)
    # a piece or two may be on their way into the pipe
    assert 512 <= counted <= 11 * 1024, counted


@ROWS.add("second STARTPOD", "while containers run it is refused, every process gets SIGTERM, and the VM goes on")
async def second_pod(guest: Hyperstart) -> None:
    container = await guest.shell("trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 0.1; done")
    await container.init.until("ready\n")
    body = messages.encode_json(messages.Pod(hostname="more"))
    assert not (await guest.ask(Code.STARTPOD, body)).accepted
    await container.init.until("term\n")
    assert await container.init.wait() == 3
    await guest.command(Code.PING)
    await (await guest.run()).check_alive()


@ROWS.add(
    "shared root", "it writes etc/hostname and lib/modules into the root that it shares with its host", simulated=True
)
async def shared_root(guest: Hyperstart) -> None:
    container = await guest.run()
    done = await container.sh("cat /etc/hostname; test -d /lib/modules && echo modules")
    assert done.stdout.endswith(b"modules\n"), done


@ROWS.add("kept output", "an end is told once nobody holds the process's output any more")
async def held_output(guest: Hyperstart) -> None:
    container = await guest.run()
    process = await container.spawn("sleep 3 & echo out")
    began = trio.current_time()
    assert (await process.finish()).stdout == b"out\n"
    assert trio.current_time() - began > 2.5
