"""How many bytes per second come through one actor's stream, and through everything from a container.

`stream_throughput_ipc`: an actor in another process pushes from memory, under credit, over nng. `stdout_throughput`: what a
container's process writes, by pipe, guest, ttRPC, actor and nng to a client. Memory must stay flat: the growth of the
resident size over the run is a note of the figure.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import trio

from actors.mailbox import open_client
from actors.wire.spec import ContainerSpec, ProcessSpec
from benchmarks.containers import open_box
from benchmarks.figure import Comparison, Effort, Figure, Goal, Measured, take_turns
from benchmarks.processes import open_process
from transports.nng import NngTransport

if TYPE_CHECKING:
    from actors.handles import SandboxHandle
    from actors.mailbox import Client

ROUNDS = 7
MEGABYTE = 1_000_000
STREAMED = 200 * MEGABYTE
BLOCK = 64 * 1024


async def _ipc(effort: Effort) -> Measured:
    size = effort.times(STREAMED)
    with tempfile.TemporaryDirectory() as directory:
        ours_at, bare_at = f"ipc://{directory}/ours", f"{directory}/bare"
        async with (
            open_process("benchmarks.serving", "streamer", ours_at) as serving,
            open_process("benchmarks.serving", "bytes", bare_at),
            open_client(NngTransport(), ours_at, client_id="bench", epoch=1) as client,
        ):
            await _streamed(client, size // 4)
            before = resident(serving.pid), resident()
            ours, bare = await take_turns(
                effort.rounds(ROUNDS), partial(_streamed, client, size), partial(_received, bare_at, size)
            )
            grown = resident(serving.pid) - before[0], resident() - before[1]
    notes = {"resident growth": f"server {grown[0]:.1f} MB, client {grown[1]:.1f} MB"}
    peer = Comparison("trio's unix socket, same bytes, nothing else", bare, Goal(least=0.35))
    return Measured(ours, [peer], notes)


async def _streamed(client: Client, size: int) -> float:
    taken = 0
    began = perf_counter()
    async with client.open_stream("stream", "read", {"size": size}) as parts:
        async for part in parts:
            taken += len(part.data)
    assert taken == size
    return taken / MEGABYTE / (perf_counter() - began)


async def _received(path: str, size: int) -> float:
    taken = 0
    began = perf_counter()
    async with await trio.open_unix_socket(path) as stream:
        while taken < size:
            taken += len(await stream.receive_some(BLOCK))
    return taken / MEGABYTE / (perf_counter() - began)


async def _stdout(effort: Effort) -> Measured:
    size = effort.times(STREAMED)
    async with open_box() as box:
        await _through_container(box, "warm", size // 4)
        before = resident()
        numbers = iter(range(1_000))
        ours, bare = await take_turns(
            effort.rounds(ROUNDS),
            lambda: _through_container(box, f"c{next(numbers)}", size),
            partial(_through_pipe, size),
        )
        grown = resident() - before
    peer = Comparison("a bare pipe read by Trio, same writer", bare, Goal(least=0.25))
    return Measured(ours, [peer], {"resident growth": f"host {grown:.1f} MB"})


async def _through_container(box: SandboxHandle, name: str, size: int) -> float:
    size = size // BLOCK * BLOCK
    command = ("/bin/dd", "if=/dev/zero", f"bs={BLOCK}", f"count={size // BLOCK}")
    container = await box.create_container(name, ContainerSpec(process=ProcessSpec(args=command)))
    taken = 0
    async with container.init.open_stdout() as parts:
        await container.start()
        began = perf_counter()
        async for part in parts:
            taken += len(part.data)
        rate = taken / MEGABYTE / (perf_counter() - began)
    await container.init.wait()
    await container.stop()
    await container.delete()
    assert taken == size
    return rate


async def _through_pipe(size: int) -> float:
    size = size // BLOCK * BLOCK
    command = ["dd", "if=/dev/zero", f"bs={BLOCK}", f"count={size // BLOCK}", "status=none"]
    taken = 0
    async with trio.open_nursery() as nursery:
        began = perf_counter()
        process: trio.Process = await nursery.start(partial(trio.run_process, command, stdout=-1))
        assert process.stdout is not None
        async for data in process.stdout:
            taken += len(data)
        rate = taken / MEGABYTE / (perf_counter() - began)
    assert taken == size
    return rate


def resident(pid: int | None = None) -> float:
    """The resident size of a process, this one by default, in MB."""
    pages = int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1])
    return pages * 4096 / MEGABYTE


FIGURES = (
    Figure(
        "stream_throughput_ipc",
        "bytes of one actor's stream to another process",
        "MB/s",
        _ipc,
    ),
    Figure(
        "stdout_throughput",
        "a container's stdout through guest, ttRPC, actor and nng to a client",
        "MB/s",
        _stdout,
    ),
)
