"""OOM kills: kernel notifications of each container's cgroup, reported once.

For the OCI engine. v1 notifies by eventfd, v2 by inotify; both also fire when a cgroup is removed, and v1 fires
before the kill, so only an increased counter is reported.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from actors.guest.syscalls import IN_MODIFY, inotify_watch
from actors.node.exhaustion import raise_if_exhausted
from actors.nurseries import Background

if TYPE_CHECKING:
    from pathlib import Path

    from actors.node.cgroups import CgroupLayout

__all__ = ["OomWatch"]

# from the kernel's notification to its kill; a later kill is reported with the next notification
_KILL_SECONDS = 1.0
_POLL_SECONDS = 0.005
_COUNTER_BYTES = 4096


class OomWatch:
    """Run it before watching anything: `await nursery.start(watch.run)`."""

    def __init__(self, layout: CgroupLayout) -> None:
        self._layout = layout
        self._background = Background()
        self._scopes: dict[str, trio.CancelScope] = {}
        # unreported kills, at most one entry per container
        self._untold: dict[str, None] = {}
        self._news = trio.Condition()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled."""
        async with self._background.open():
            task_status.started()
            await trio.sleep_forever()

    def watch(self, container: str, group: str) -> None:
        """Watch until `forget`; a no-op where this machine has no memory controller.

        Raises:
            OSError: no file descriptor is left.
        """
        memory = self._layout.controller("memory")
        if memory is None:
            return
        directory = memory.directory(group)
        try:
            counter = os.open(
                directory / ("memory.oom_control" if memory.version == 1 else "memory.events"),
                os.O_RDONLY | os.O_CLOEXEC,
            )
            try:
                notice = (
                    _notice_v1(directory, counter)
                    if memory.version == 1
                    else inotify_watch(directory / "memory.events", IN_MODIFY)
                )
            except BaseException:
                os.close(counter)
                raise
        except OSError as error:
            raise_if_exhausted(error)
            return  # the cgroup is gone already, or its hierarchy has no memory controller
        scope = self._scopes[container] = trio.CancelScope()
        self._background.start_soon(self._follow, container, counter, notice, scope)

    def forget(self, container: str) -> None:
        """Stop watching; its unreported kills are dropped; idempotent."""
        scope = self._scopes.pop(container, None)
        if scope is not None:
            scope.cancel()
        self._untold.pop(container, None)

    async def next(self) -> str:
        """The container of the next OOM kill; see `Engine.next_oom`."""
        async with self._news:
            while not self._untold:
                await self._news.wait()
            container = next(iter(self._untold))
            del self._untold[container]
            return container

    async def _follow(self, container: str, counter: int, notice: int, scope: trio.CancelScope) -> None:
        told = 0
        try:
            with scope:
                while True:
                    await trio.lowlevel.wait_readable(notice)
                    with suppress(BlockingIOError):
                        os.read(notice, 4096)
                    kills = await _risen(counter, told)
                    if kills is None:
                        return
                    if kills > told:
                        told = kills
                        await self._tell(container)
        finally:
            os.close(notice)
            os.close(counter)

    async def _tell(self, container: str) -> None:
        async with self._news:
            self._untold[container] = None
            self._news.notify_all()


async def _risen(counter: int, told: int) -> int | None:
    """The counter once it exceeds `told`, or when the time is up; None if the cgroup is gone."""
    deadline = trio.current_time() + _KILL_SECONDS
    while True:
        kills = _kills(counter)
        if kills is None or kills > told or trio.current_time() > deadline:
            return kills
        await trio.sleep(_POLL_SECONDS)


def _kills(counter: int) -> int | None:
    """Read through a descriptor kept open: a read must not fail for lack of one."""
    try:
        rows = [line.split() for line in os.pread(counter, _COUNTER_BYTES, 0).decode().splitlines()]
    except OSError:
        return None
    return next((int(row[1]) for row in rows if row[0] == "oom_kill"), 0)


def _notice_v1(directory: Path, counter: int) -> int:
    """Register the eventfd. Raises: OSError."""
    notice = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        (directory / "cgroup.event_control").write_text(f"{notice} {counter}")
    except BaseException:
        os.close(notice)
        raise
    return notice
