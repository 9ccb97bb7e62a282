"""Descriptors: a guest is after any number of processes what it was before, and a shortage ends nobody.

`KATRIO_EXECS=10000 scripts/test tests/integration/test_descriptors.py -k as_it_was` runs as many processes as it says.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from actors.wire.spec import ProcessSpec
from tests.support.boxes import ENGINES, a_room, guest_pid

if TYPE_CHECKING:
    from pathlib import Path

EXECS = int(os.environ.get("KATRIO_EXECS", "40"))
AT_ONCE = 4
# of descriptors, for a guest and a host that are to be filled
LIMIT = 192


def _open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize("engine", ENGINES)
async def test_many_execs_leave_the_guest_as_it_was(engine: str, tmp_path: Path) -> None:
    async with a_room(engine, tmp_path, seconds=60 + EXECS) as room:
        container = await room.running("sleep", "100000")
        guest = guest_pid(room.world.guests.directory("box").path)
        before = _open_files(guest)

        async def run(first: int) -> None:
            for number in range(first, EXECS, AT_ONCE):
                process = await container.exec(f"exec-{number}", ProcessSpec(args=("echo", "x" * 1000)))
                # whether anybody reads it or not
                if number % 2:
                    assert (await process.collect()).stdout == b"x" * 1000 + b"\n"
                else:
                    assert (await process.wait()).code == 0

        async with trio.open_nursery() as nursery:
            for first in range(AT_ONCE):
                nursery.start_soon(run, first)
        while _open_files(guest) > before:  # noqa: ASYNC110  # another process's
            await trio.sleep(0.01)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_shortage_of_descriptors_ends_nobody(engine: str, tmp_path: Path) -> None:
    run_dir = tmp_path / "r"
    run_dir.mkdir(mode=0o700)
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.few_descriptors", engine, str(run_dir), str(LIMIT)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=220,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()
