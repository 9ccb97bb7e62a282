"""Reaps processes: a pidfd for each process of interest, and a periodic scan for orphans.

Theory of operation. The guest is pid 1 of its pid namespace or a subreaper, so every orphan becomes its child. An
unreaped zombie would keep a container's pid namespace alive, so each is reaped at once, waited for or not. A watched
process (`adopt`, `spawned`) has a task that waits for its pidfd to become readable and only then calls waitid: until
then its pid can't be reused, and `finish` sets the status and wakes all waiters. Everything else that dies is an
orphan, reaped by the scan in `run`. One race remains: a runtime's child may die before the runtime call returns its
pid. So a zombie that nobody watches is reaped only when every call that was in flight (`spawning`) when it was first
seen has ended without claiming it.
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from actors.errors import AgentError
from actors.node.exhaustion import is_exhaustion
from actors.node.marks import every_process
from actors.nurseries import Background
from actors.wire.spec import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from actors.node.marks import ProcessFact

__all__ = ["Reaped", "Reaper", "name_of"]

_STRAY_SECONDS = 1.0
# a runtime's detached init may die before it is reparented to us: until then waitid fails with ECHILD
_ADOPTION_SECONDS = 0.005
_ADOPTION_TRIES = 40


class Reaped:
    """A watched child process, pinned by its pidfd until it is reaped."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self.descriptor = descriptor
        # `/proc/PID/comm` at its end: the last program that it executed
        self.last_name = ""
        # called right before its waiters are woken
        self.on_end: Callable[[], None] = _nobody
        self._ended = trio.Event()
        self._status: ExitStatus | None = None

    @property
    def status(self) -> ExitStatus | None:
        """Its exit status; None while it lives."""
        return self._status

    async def wait(self) -> ExitStatus:
        """Wait for its exit status; any number of waiters."""
        await self._ended.wait()
        assert self._status is not None
        return self._status

    def signal(self, signum: int) -> bool:
        """Send it a valid signal number, through the pidfd; False if it has ended."""
        if self.descriptor < 0:
            return False
        try:
            signal.pidfd_send_signal(self.descriptor, signum)
        except ProcessLookupError:
            return False
        return True

    def finish(self, status: ExitStatus) -> None:
        """Called by the reaper after reaping it."""
        os.close(self.descriptor)
        self.descriptor = -1
        self._status = status
        self.on_end()
        self._ended.set()


class Reaper:
    """Run it before spawning anything: `await nursery.start(reaper.run)`."""

    def __init__(self) -> None:
        self._background = Background()
        self._ours: dict[int, Reaped] = {}
        self._calls = 0
        self._in_flight: dict[int, None] = {}
        # unclaimed zombies -> number of calls begun when each was first seen
        self._suspects: dict[tuple[int, int], int] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Reap until cancelled."""
        async with self._background.open():
            task_status.started()
            while True:
                await trio.sleep(_STRAY_SECONDS)
                # without a free descriptor, skip the scan: zombies can wait
                with suppress(OSError):
                    self._reap_strays()

    def adopt(self, pid: int) -> Reaped:
        """Watch a child that a runtime left to us, alive or already a zombie, and reap it when it ends.

        Raises:
            AgentError: there is no such process.
            OSError: no file descriptor is left.
        """
        return self._watch(pid, _collect_orphan)

    def spawned(self, process: trio.Process) -> Reaped:
        """Watch a Trio process, which is reaped through `trio.Process.wait`."""

        async def collect(_: int) -> ExitStatus:
            code = await process.wait()
            return ExitStatus(code if code >= 0 else 128 - code)

        return self._watch(process.pid, collect)

    def _watch(self, pid: int, collect: Callable[[int], Awaitable[ExitStatus]]) -> Reaped:
        try:
            descriptor = os.pidfd_open(pid)
        except OSError as error:
            if is_exhaustion(error):
                raise
            raise AgentError(f"process {pid} of the runtime: {error.strerror}", status="no such process") from error
        reaped = Reaped(pid, descriptor)
        self._ours[pid] = reaped
        self._background.start_soon(self._collect, reaped, collect)
        return reaped

    async def _collect(self, reaped: Reaped, collect: Callable[[int], Awaitable[ExitStatus]]) -> None:
        await trio.lowlevel.wait_readable(reaped.descriptor)
        # until it is reaped, its pid is not reused
        reaped.last_name = name_of(reaped.pid)
        status = await collect(reaped.descriptor)
        if self._ours.get(reaped.pid) is reaped:
            del self._ours[reaped.pid]
        reaped.finish(status)

    @contextmanager
    def spawning(self) -> Generator[None]:
        """Around a call that makes children and returns their pid only at its end: none of them is an orphan meanwhile."""
        self._calls += 1
        number = self._calls
        self._in_flight[number] = None
        try:
            yield
        finally:
            del self._in_flight[number]

    def is_unclaimed(self, fact: ProcessFact) -> bool:
        """Whether it is a live child that nobody watches: left by a runtime, claimed later or never."""
        return fact.alive and fact.parent == os.getpid() and fact.pid not in self._ours

    def _reap_strays(self) -> None:
        zombies = [zombie for zombie in _zombie_children() if zombie[0] not in self._ours]
        self._suspects = {zombie: self._suspects.get(zombie, self._calls) for zombie in zombies}
        oldest = min(self._in_flight, default=self._calls + 1)
        for (pid, start), seen in list(self._suspects.items()):
            # every call that could have made it has ended without claiming it
            if oldest > seen:
                os.waitpid(pid, os.WNOHANG)
                del self._suspects[pid, start]


def _nobody() -> None:
    """The default `on_end`."""


def name_of(pid: int) -> str:
    """The comm of a process, alive or zombie; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").rstrip("\n")
    except OSError:
        return ""


async def _collect_orphan(descriptor: int) -> ExitStatus:
    for _ in range(_ADOPTION_TRIES):
        status = _collected(descriptor)
        if status is not None:
            return status
        await trio.sleep(_ADOPTION_SECONDS)
    # reaped by someone else: report an unknown exit status as a kill, never as success
    return ExitStatus(128 + signal.SIGKILL)


def _collected(descriptor: int) -> ExitStatus | None:
    """Reap an ended process; None if it is not our child (yet)."""
    try:
        found = os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return None
    if found is None:
        return None
    return ExitStatus(found.si_status if found.si_code == os.CLD_EXITED else 128 + found.si_status)


def _zombie_children() -> list[tuple[int, int]]:
    """(pid, start time) of each zombie child."""
    own = os.getpid()
    return [(fact.pid, fact.start) for fact in every_process() if fact.state == "Z" and fact.parent == own]
