"""Who was killed for lack of memory: the kernel's own notice of each container's group, told once.

For the OCI engine. v1 tells through an eventfd, v2 through inotify; both also fire when a group goes, and v1 fires
before the kill, so that only a counter that rose is told. Not for limits, and not for the exit that may follow.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from actors.guest.syscalls import IN_MODIFY, inotify_watch
from actors.node.exhaustion import raise_if_exhausted

if TYPE_CHECKING:
    from pathlib import Path

    from actors.node.cgroups import CgroupLayout

__all__ = ["OomWatch"]

# between the kernel's notice and its kill; a killer that is this late is told with the next notice
_KILL_SECONDS = 1.0
_POLL_SECONDS = 0.005
_COUNTER_BYTES = 4096


class OomWatch:
    """Run it before anything is watched: `await nursery.start(watch.run)`."""

    def __init__(self, layout: CgroupLayout) -> None:
        self._layout = layout
        self._nursery: trio.Nursery | None = None
        self._scopes: dict[str, trio.CancelScope] = {}
        # at most one entry for each container
        self._untold: dict[str, None] = {}
        self._news = trio.Condition()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    def watch(self, container: str, group: str) -> None:
        """From now on, until `forget`; nothing happens where this machine counts no memory.

        Raises:
            OSError: no descriptor is left to watch it by.
        """
        memory = self._layout.controller("memory")
        if memory is None:
            return
        assert self._nursery is not None, "the watch runs"
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
            return  # the group went already, or its tree has no memory controller here
        scope = self._scopes[container] = trio.CancelScope()
        self._nursery.start_soon(self._follow, container, counter, notice, scope)

    def forget(self, container: str) -> None:
        """What was not told of it is told to nobody; idempotent."""
        scope = self._scopes.pop(container, None)
        if scope is not None:
            scope.cancel()
        self._untold.pop(container, None)

    async def next(self) -> str:
        """The container of the next kill; see `Engine.next_oom`."""
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
    """The count, once it is over `told` or the time for it is over; None when the group has gone."""
    deadline = trio.current_time() + _KILL_SECONDS
    while True:
        kills = _kills(counter)
        if kills is None or kills > told or trio.current_time() > deadline:
            return kills
        await trio.sleep(_POLL_SECONDS)


def _kills(counter: int) -> int | None:
    """By a descriptor that is kept: a look must not fail for lack of one."""
    try:
        rows = [line.split() for line in os.pread(counter, _COUNTER_BYTES, 0).decode().splitlines()]
    except OSError:
        return None
    return next((int(row[1]) for row in rows if row[0] == "oom_kill"), 0)


def _notice_v1(directory: Path, counter: int) -> int:
    """Raises: OSError."""
    notice = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        (directory / "cgroup.event_control").write_text(f"{notice} {counter}")
    except BaseException:
        os.close(notice)
        raise
    return notice
