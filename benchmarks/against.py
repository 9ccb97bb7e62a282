"""An ask of an actor in another process, against the same ask in other actor systems.

They are measured by themselves, in processes of their own: see `benchmarks.peers`. `scripts/bench --peers` installs
them. Pykka is shown beside and not competed with: its actors are threads of the asker's own process.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from actors.mailbox import open_client
from benchmarks.figure import Comparison, Effort, Figure, Goal, Measured, Skipped, take_turns
from benchmarks.mailbox import ask_round_trips
from benchmarks.processes import open_process, open_turns
from transports.nng import NngTransport

PYTHON = Path(__file__).parent.parent / ".venv/peers/bin/python"
ROUNDS = 7
ROUND_TRIPS = 400


async def _against(peer: str, shown: str, goal: Goal | None, effort: Effort) -> Measured:
    if not PYTHON.exists():
        raise Skipped("not installed: scripts/bench --peers does that")
    times = effort.times(ROUND_TRIPS)
    with tempfile.TemporaryDirectory() as directory:
        address = f"ipc://{directory}/ours"
        async with (
            open_process("benchmarks.serving", "server", address),
            open_turns(f"benchmarks.peers.{peer}_ask", python=str(PYTHON)) as turn,
            open_client(NngTransport(), address, client_id="bench", epoch=1) as client,
        ):
            ours, theirs = await take_turns(
                effort.rounds(ROUNDS), partial(ask_round_trips, client, times), partial(turn, times)
            )
    return Measured(ours, [Comparison(shown, theirs, goal)])


FIGURES = (
    Figure(
        "ask_vs_ray",
        "p50 of an ask of another process's actor, against ray",
        "us",
        partial(_against, "ray", "ray, actor in a worker process", Goal(most=1.0)),
    ),
    Figure(
        "ask_vs_xoscar",
        "p50 of an ask of another process's actor, against xoscar",
        "us",
        partial(_against, "xoscar", "xoscar, actor in a pool's process", Goal(most=1.0)),
    ),
    Figure(
        "ask_vs_pykka",
        "p50 of an ask of another process's actor, beside pykka's threads",
        "us",
        partial(_against, "pykka", "pykka, actor on a thread", None),
    ),
)
