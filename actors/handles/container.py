"""The handle on a container: its life, and its processes.

Not for one process of it: `process`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.handles.base import UNSET, Handle, SeenEvent, Timeout, with_grace
from actors.handles.process import ProcessHandle
from actors.wire.verbs import (
    ContainerVerbs,
    Exec,
    Info,
    ListedProcesses,
    ListProcesses,
    Nothing,
    Signal,
    Signalled,
    Stop,
    Update,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from actors.wire.reports import ContainerStats
    from actors.wire.spec import ProcessSpec, ResourceSpec, Stopped


__all__ = ["ContainerHandle"]


@dataclass(frozen=True, slots=True)
class ContainerHandle(Handle):
    """One container of a sandbox."""

    def open_events(self) -> AbstractAsyncContextManager[AsyncIterator[SeenEvent]]:
        """Subscribe to its state and its processes' ends: what is the case, then what changes; ends with its delete."""
        return self._open_events()

    @property
    def init(self) -> ProcessHandle:
        """Its first process."""
        return ProcessHandle(self.client, self.address, "")

    def process(self, name: str) -> ProcessHandle:
        """A handle on a process that `exec` made; asks nothing."""
        return ProcessHandle(self.client, self.address, name)

    async def start(self, *, timeout: Timeout = UNSET) -> None:
        """Let its init run. Raises: InvalidTransition."""
        await self._ask(ContainerVerbs.start, Nothing(), timeout)

    async def pause(self, *, timeout: Timeout = UNSET) -> None:
        """Freeze every process of it; its neighbours run on. Raises: InvalidTransition, Unsupported."""
        await self._ask(ContainerVerbs.pause, Nothing(), timeout)

    async def resume(self, *, timeout: Timeout = UNSET) -> None:
        """Thaw it. Raises: InvalidTransition."""
        await self._ask(ContainerVerbs.resume, Nothing(), timeout)

    async def exec(self, name: str, spec: ProcessSpec, *, timeout: Timeout = UNSET) -> ProcessHandle:
        """Start one more process, named `name`. Raises: AlreadyExists, InvalidTransition, InvalidArgument."""
        await self._ask(ContainerVerbs.exec, Exec(name, spec), timeout)
        return ProcessHandle(self.client, self.address, name)

    async def update(self, resources: ResourceSpec, *, timeout: Timeout = UNSET) -> None:
        """Change its limits while it runs; all of them or none. Raises: InvalidArgument, Unsupported (the field)."""
        await self._ask(ContainerVerbs.update, Update(resources), timeout)

    async def stats(self, *, timeout: Timeout = UNSET) -> ContainerStats:
        """What it uses. Raises: Unsupported where nothing counts that."""
        return await self._ask(ContainerVerbs.stats, Nothing(), timeout)

    async def list_processes(self, *, timeout: Timeout = UNSET) -> tuple[int, ...]:
        """The pids of all of its processes, as its guest numbers them."""
        return (await self._list(ListProcesses(), timeout)).pids

    async def process_table(self, *args: str, timeout: Timeout = UNSET) -> str:
        """What `ps ARGS` prints of its processes; "-ef" when there are no arguments."""
        return (await self._list(ListProcesses("table", args), timeout)).table

    async def _list(self, args: ListProcesses, timeout: Timeout) -> ListedProcesses:
        return await self._ask(ContainerVerbs.list_processes, args, timeout)

    async def signal(self, signum: int, *, all_processes: bool = False, timeout: Timeout = UNSET) -> Signalled:
        """Signal its init, or every process of it."""
        return await self._ask(ContainerVerbs.signal, Signal(signum, all=all_processes), timeout)

    async def disconnect(self, *, timeout: Timeout = UNSET) -> None:
        """Close its own connection to the agent; it is dialled again when it is next needed. Idempotent.

        What was in flight on it ends at once; waits and readers go on over the next one.
        """
        await self._ask(ContainerVerbs.disconnect, Nothing(), timeout)

    async def stop(
        self,
        *,
        signum: int = 15,
        grace: float | None = None,
        force: bool = False,
        timeout: Timeout = UNSET,
    ) -> Stopped:
        """Polite signal, `grace` seconds, SIGKILL to all; how its init ended. Idempotent.

        Its code is None when it has ended after the signal named and its agent can't tell whether by it (hyperstart).

        With `force` it ends stopped whatever fails. Raises then: OutcomeUnknown when nobody can tell how it ended.
        """
        timeout = with_grace(self.client, timeout, grace)
        return await self._ask(ContainerVerbs.stop, Stop(signum, grace, force), timeout)

    async def delete(self, *, force: bool = False, timeout: Timeout = UNSET) -> None:
        """Forget it and its cached results. Raises: InvalidTransition while it runs, unless `force`: then it is
        stopped first, without grace. With `force` one that is not there is no error.
        """
        await self._delete(ContainerVerbs.delete, timeout, force=force)

    async def info(self, *, timeout: Timeout = UNSET) -> Info:
        """Its state; its execs that run as `children`; how its init ended, once it has."""
        return await self._ask(ContainerVerbs.info, Nothing(), timeout)
