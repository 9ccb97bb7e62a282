"""Who collects dead processes: one pidfd for each process that somebody cares for, and strays on a tick.

For the real engines, whose guest is pid 1 of its namespace or a subreaper, so that every orphan becomes its child.
An exec'd zombie would keep its container's whole pid namespace from dying, so each is reaped at once, waited for
or not. Not for spawning.
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
from actors.wire.spec import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from actors.node.marks import ProcessFact

__all__ = ["Reaped", "Reaper", "name_of"]

_STRAY_SECONDS = 1.0
# a runtime's detached init may be dead before the kernel has made it our child: waitid then says ECHILD for a moment
_ADOPTION_SECONDS = 0.005
_ADOPTION_TRIES = 40


class Reaped:
    """One process of ours, pinned by its pidfd until it is collected."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self.descriptor = descriptor
        # what the kernel called it when it ended (`/proc/PID/comm`): of the last program that it has executed
        self.last_name = ""
        # called right before its end is told
        self.on_end: Callable[[], None] = _nobody
        self._ended = trio.Event()
        self._status: ExitStatus | None = None

    @property
    def status(self) -> ExitStatus | None:
        """How it ended; None while it lives."""
        return self._status

    async def wait(self) -> ExitStatus:
        """Its end, for any number of waiters."""
        await self._ended.wait()
        assert self._status is not None
        return self._status

    def signal(self, signum: int) -> bool:
        """Signal this very process, by a number that the kernel knows; False when it has ended."""
        if self.descriptor < 0:
            return False
        try:
            signal.pidfd_send_signal(self.descriptor, signum)
        except ProcessLookupError:
            return False
        return True

    def finish(self, status: ExitStatus) -> None:
        """It was collected; the reaper's own call."""
        os.close(self.descriptor)
        self.descriptor = -1
        self._status = status
        self.on_end()
        self._ended.set()


class Reaper:
    """Run it before anything is spawned: `await nursery.start(reaper.run)`."""

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None
        self._ours: dict[int, Reaped] = {}
        self._calls = 0
        self._in_flight: dict[int, None] = {}
        # zombies that nobody claims -> how many calls had begun when each was first seen
        self._suspects: dict[tuple[int, int], int] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Collect until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            while True:
                await trio.sleep(_STRAY_SECONDS)
                # with no descriptor left nobody can be looked for: they wait, as zombies do
                with suppress(OSError):
                    self._reap_strays()

    def adopt(self, pid: int) -> Reaped:
        """Watch a child that a runtime has left to us, alive or already a zombie, and collect it when it ends.

        Raises:
            AgentError: there is no such process.
            OSError: no descriptor is left to watch it by.
        """
        return self._watch(pid, _collect_orphan)

    def spawned(self, process: trio.Process) -> Reaped:
        """The same for a process of Trio's, which must be waited for in Trio's own way."""

        async def collect(_: int) -> ExitStatus:
            code = await process.wait()
            return ExitStatus(code if code >= 0 else 128 - code)

        return self._watch(process.pid, collect)

    def _watch(self, pid: int, collect: Callable[[int], Awaitable[ExitStatus]]) -> Reaped:
        assert self._nursery is not None, "the reaper runs"
        try:
            descriptor = os.pidfd_open(pid)
        except OSError as error:
            if is_exhaustion(error):
                raise
            raise AgentError(f"process {pid} of the runtime: {error.strerror}", status="no such process") from error
        reaped = Reaped(pid, descriptor)
        self._ours[pid] = reaped
        self._nursery.start_soon(self._collect, reaped, collect)
        return reaped

    async def _collect(self, reaped: Reaped, collect: Callable[[int], Awaitable[ExitStatus]]) -> None:
        await trio.lowlevel.wait_readable(reaped.descriptor)
        # as long as it is not collected its number is its own
        reaped.last_name = name_of(reaped.pid)
        status = await collect(reaped.descriptor)
        if self._ours.get(reaped.pid) is reaped:
            del self._ours[reaped.pid]
        reaped.finish(status)

    @contextmanager
    def spawning(self) -> Generator[None]:
        """Around a call that makes children and names them only at its end: none of those is a stray meanwhile."""
        self._calls += 1
        number = self._calls
        self._in_flight[number] = None
        try:
            yield
        finally:
            del self._in_flight[number]

    def is_unclaimed(self, fact: ProcessFact) -> bool:
        """Whether it is a live child of ours that nobody watches: what a runtime has left, named or not yet."""
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
    """Of one whose end concerns its waiters alone."""


def name_of(pid: int) -> str:
    """What the kernel calls a process, alive or dead; empty when there is none."""
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
    # somebody else collected it: an end of unknown status is told as a kill, never as a success
    return ExitStatus(128 + signal.SIGKILL)


def _collected(descriptor: int) -> ExitStatus | None:
    """Reap a dead process; None when it is not our child (yet)."""
    try:
        found = os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return None
    if found is None:
        return None
    return ExitStatus(found.si_status if found.si_code == os.CLD_EXITED else 128 + found.si_status)


def _zombie_children() -> list[tuple[int, int]]:
    """(pid, start time) of each dead child that is not collected yet."""
    own = os.getpid()
    return [(fact.pid, fact.start) for fact in every_process() if fact.state == "Z" and fact.parent == own]
