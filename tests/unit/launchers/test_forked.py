"""A launcher's reports and its end, with a child of this process in its place."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from actors.launchers.forked import Launcher

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def a_launcher() -> Generator[tuple[Launcher, socket.socket]]:
    """One that runs until it is killed, and its end of the control socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    pid = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
    try:
        with theirs:
            yield Launcher(ours, pid, os.pidfd_open(pid)), theirs
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def report(theirs: socket.socket, fact: dict[str, int], *descriptors: int) -> None:
    socket.send_fds(theirs, [json.dumps(fact).encode()], descriptors)


async def ended(launcher: Launcher) -> int:
    launcher.kill()
    with trio.fail_after(5):
        return await launcher.wait()


@pytest.mark.parametrize("code", [0, 3, 4])
async def test_what_it_reported_is_its_code_from_its_end_on(code: int) -> None:
    with a_launcher() as (launcher, theirs):
        report(theirs, {"guest": 1}, os.pidfd_open(os.getpid()))
        report(theirs, {"code": code})
        assert launcher.poll() is None
        assert await ended(launcher) == code
        assert launcher.poll() == code


async def test_a_report_that_is_read_early_is_no_end_and_keeps_no_descriptor() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with a_launcher() as (launcher, theirs):
        with os.fdopen(os.pidfd_open(launcher.pid)) as guest:
            report(theirs, {"guest": launcher.pid}, guest.fileno())
        report(theirs, {"code": 4})
        # reads all that has come, and kills what stands for both
        assert launcher.kill_guest()
        with trio.fail_after(5):
            assert await launcher.wait() == 4
        assert not launcher.kill_guest()
    assert set(os.listdir("/proc/self/fd")) == before


async def test_one_that_reported_nothing_was_killed() -> None:
    with a_launcher() as (launcher, theirs):
        theirs.close()
        assert not launcher.kill_guest(), "it never had one"
        assert launcher.poll() is None, "the end of its socket is not its own"
        assert await ended(launcher) == -9
