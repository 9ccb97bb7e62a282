"""The handle on a container: its life, and its processes.

Not for one process of it: `process`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.handles.base import DEFAULT, Allowance, SeenEvent, delete_at, open_events_of, with_grace
from actors.handles.process import ProcessHandle
from actors.wire.reports import ContainerStats
from actors.wire.spec import ProcessSpec, ResourceSpec, Stopped
from actors.wire.verbs import Exec, Info, ListedProcesses, ListProcesses, Nothing, Signal, Signalled, Stop, Update

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from actors.mailbox import Courier

__all__ = ["ContainerHandle"]


@dataclass(frozen=True, slots=True)
class ContainerHandle:
    """One container of a sandbox."""

    courier: Courier
    address: str

    def open_events(self) -> AbstractAsyncContextManager[AsyncIterator[SeenEvent]]:
        """Subscribe to its state and its processes' ends: what is the case, then what changes; ends with its delete."""
        return open_events_of(self.courier, self.address)

    @property
    def init(self) -> ProcessHandle:
        """Its first process."""
        return ProcessHandle(self.courier, self.address, "")

    def process(self, name: str) -> ProcessHandle:
        """A handle on a process that `exec` made; asks nothing."""
        return ProcessHandle(self.courier, self.address, name)

    async def start(self, *, budget: Allowance = DEFAULT) -> None:
        """Let its init run. Raises: InvalidTransition."""
        await self.courier.ask(self.address, "start", Nothing(), Nothing, budget=budget)

    async def pause(self, *, budget: Allowance = DEFAULT) -> None:
        """Freeze every process of it; its neighbours run on. Raises: InvalidTransition, Unsupported."""
        await self.courier.ask(self.address, "pause", Nothing(), Nothing, budget=budget)

    async def resume(self, *, budget: Allowance = DEFAULT) -> None:
        """Thaw it. Raises: InvalidTransition."""
        await self.courier.ask(self.address, "resume", Nothing(), Nothing, budget=budget)

    async def exec(self, name: str, spec: ProcessSpec, *, budget: Allowance = DEFAULT) -> ProcessHandle:
        """Start one more process, named `name`. Raises: AlreadyExists, InvalidTransition, InvalidArgument."""
        await self.courier.ask(self.address, "exec", Exec(name, spec), Nothing, budget=budget)
        return ProcessHandle(self.courier, self.address, name)

    async def update(self, resources: ResourceSpec, *, budget: Allowance = DEFAULT) -> None:
        """Change its limits while it runs; all of them or none. Raises: InvalidArgument, Unsupported (the field)."""
        await self.courier.ask(self.address, "update", Update(resources), Nothing, budget=budget)

    async def stats(self, *, budget: Allowance = DEFAULT) -> ContainerStats:
        """What it uses. Raises: Unsupported where nothing counts that."""
        return await self.courier.ask(self.address, "stats", Nothing(), ContainerStats, budget=budget)

    async def list_processes(self, *, budget: Allowance = DEFAULT) -> tuple[int, ...]:
        """The pids of all of its processes, as its guest numbers them."""
        return (await self._list(ListProcesses(), budget)).pids

    async def process_table(self, *args: str, budget: Allowance = DEFAULT) -> str:
        """What `ps ARGS` prints of its processes; "-ef" when there are no arguments."""
        return (await self._list(ListProcesses("table", args), budget)).table

    async def _list(self, args: ListProcesses, budget: Allowance) -> ListedProcesses:
        return await self.courier.ask(self.address, "list_processes", args, ListedProcesses, budget=budget)

    async def signal(self, signum: int, *, all_processes: bool = False, budget: Allowance = DEFAULT) -> Signalled:
        """Signal its init, or every process of it."""
        return await self.courier.ask(
            self.address,
            "signal",
            Signal(signum, all=all_processes),
            Signalled,
            budget=budget,
        )

    async def disconnect(self, *, budget: Allowance = DEFAULT) -> None:
        """Close its own connection to the agent; it is dialled again when it is next needed. Repeated is fine.

        What was in flight on it ends at once; waits and readers go on over the next one.
        """
        await self.courier.ask(self.address, "disconnect", Nothing(), Nothing, budget=budget)

    async def stop(
        self,
        *,
        signum: int = 15,
        grace: float | None = None,
        force: bool = False,
        budget: Allowance = DEFAULT,
    ) -> Stopped:
        """Polite signal, `grace` seconds, SIGKILL to all; how its init ended. Repeated is fine.

        Its code is None when it has ended after the signal named and its agent can't tell whether by it (hyperstart).

        With `force` it ends stopped whatever fails. Raises then: OutcomeUnknown when nobody can tell how it ended.
        """
        budget = with_grace(self.courier, budget, grace)
        return await self.courier.ask(self.address, "stop", Stop(signum, grace, force), Stopped, budget=budget)

    async def delete(self, *, force: bool = False, budget: Allowance = DEFAULT) -> None:
        """Forget it and its cached results. Raises: InvalidTransition while it runs, unless `force`: then it is
        stopped first, without grace. With `force` one that is not there is fine.
        """
        await delete_at(self.courier, self.address, force=force, budget=budget)

    async def info(self, *, budget: Allowance = DEFAULT) -> Info:
        """Its state; its execs that run as `children`; how its init ended, once it has."""
        return await self.courier.ask(self.address, "info", Nothing(), Info, budget=budget)
