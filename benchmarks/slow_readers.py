"""What a client that does not read costs its neighbour: p99 of asks beside it, against p99 without it.

Both ask the same actor of a server in another process. The one that does not read has a stream open and takes nothing of
it, so that all it may be sent ahead is under way to it. Not for throughput.
"""

from __future__ import annotations

import tempfile
from functools import partial
from time import perf_counter

from actors.mailbox import Client, open_client
from benchmarks.figure import Comparison, Effort, Figure, Goal, Measured, take_turns
from benchmarks.mailbox import ARGS
from benchmarks.processes import open_process
from transports.nng import NngTransport

ROUNDS = 9
ASKS = 1_000


async def _slow_reader(effort: Effort) -> Measured:
    with tempfile.TemporaryDirectory() as directory:
        address = f"ipc://{directory}/server"
        async with (
            open_process("benchmarks.serving", "endless", address),
            open_client(NngTransport(), address, client_id="polite", epoch=1) as polite,
            open_client(NngTransport(), address, client_id="slow", epoch=1) as slow,
        ):
            times = effort.times(ASKS)
            beside, alone = await take_turns(
                effort.rounds(ROUNDS), partial(_beside, polite, slow, times), partial(_p99, polite, times)
            )
    return Measured(beside, [Comparison("the same without it", alone, Goal(most=2.0))])


async def _beside(polite: Client, slow: Client, times: int) -> float:
    async with slow.open_stream("echo", "read", {}):
        return await _p99(polite, times)


async def _p99(client: Client, times: int) -> float:
    taken: list[float] = []
    for _ in range(times):
        began = perf_counter()
        await client.ask("echo", "echo", ARGS, dict)
        taken.append(perf_counter() - began)
    return sorted(taken)[times * 99 // 100] * 1e6


FIGURES = (
    Figure("slow_reader_p99", "p99 of asks beside a client that reads nothing of its stream", "us", _slow_reader),
)
