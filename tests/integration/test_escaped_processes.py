"""Plain processes that leave their container: by session, parent and environment at once. They go with the last container.

Half a second each, in processes of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from actors.guest import syscalls
from actors.node.marks import every_process, kill_descendants
from tests.support.forks import run_in_a_fork
from tests.support.rooms import in_a_room, read_until

if TYPE_CHECKING:
    from tests.support.rooms import Room

# an orphan in a session of its own, without its first environment; its parent is told to go only once nobody can see it
WAYS = {
    "setsid env -i": "setsid env -i sleep 4711 & ",
    "env -i setsid": "env -i setsid sleep 4711 & ",
    "twice": "setsid env -i sh -c 'setsid sleep 4711 & setsid sleep 4711 & exit' & ",
    "a chain": "setsid env -i sh -c 'setsid sh -c \"sleep 4711 & wait\" & exit' & ",
}


def _escaped() -> int:
    own = os.getsid(0)
    mine = [fact for fact in every_process() if fact.alive and fact.session != own]
    found = 0
    for fact in mine:
        try:
            with open(f"/proc/{fact.pid}/cmdline", "rb") as file:
                found += file.read().startswith(b"sleep\x004711\x00")
        except OSError:
            continue
    return found


@pytest.mark.parametrize("way", WAYS)
def test_what_left_its_container_goes_with_the_last_one(way: str) -> None:
    async def body(room: Room) -> None:
        await room.idle("c2")
        init = await room.started("c1", "sh", "-c", f"{WAYS[way]} sleep 0.1; echo up; sleep 1000")
        await read_until(init.stdout, b"up\n")
        assert _escaped()
        await room.remove("c1")
        await room.remove("c2")
        assert not _escaped()

    in_a_room("processes", body)


def test_the_guest_s_own_helpers_are_spared() -> None:
    async def body(room: Room) -> None:
        helper = await trio.lowlevel.open_process(["sleep", "1000"])
        await room.idle("c1")
        await room.remove("c1")
        assert helper.poll() is None
        helper.kill()
        await helper.wait()

    in_a_room("processes", body)


def test_who_inherits_orphans_can_end_them_all() -> None:
    def inherit() -> None:
        syscalls.become_subreaper()
        middle = f'{sys.executable} -c \'import subprocess; subprocess.Popen(["sleep", "4711"], env={{}}, start_new_session=True)\''
        subprocess.run(middle, shell=True, check=True)
        assert _escaped() == 1
        assert kill_descendants(os.getpid())
        assert _escaped() == 0

    run_in_a_fork(inherit)
