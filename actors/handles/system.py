"""The handle on a system: makes sandboxes, and tells what there is.

Not for opening a system: `actors.api` does, and gives one of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.handles.base import DEFAULT, Allowance, SeenEvent, open_events_of
from actors.handles.sandbox import SandboxHandle
from actors.wire.spec import SandboxSpec
from actors.wire.verbs import Created, CreateSandbox, Info, Nothing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from actors.mailbox import Courier

__all__ = ["SystemHandle"]


SYSTEM_ADDRESS = ""


@dataclass(frozen=True, slots=True)
class SystemHandle:
    """The root of one system of actors."""

    courier: Courier

    async def create_sandbox(
        self,
        name: str,
        spec: SandboxSpec | None = None,
        *,
        budget: Allowance = DEFAULT,
    ) -> SandboxHandle:
        """Make a sandbox actor; nothing runs before its `start`. Raises: AlreadyExists, InvalidArgument."""
        made = await self.courier.ask(
            SYSTEM_ADDRESS,
            "create_sandbox",
            CreateSandbox(name, SandboxSpec() if spec is None else spec),
            Created,
            budget=budget,
        )
        return SandboxHandle(self.courier, made.address)

    async def info(self, *, budget: Allowance = DEFAULT) -> Info:
        """The system's own view: its sandboxes are the `children`."""
        return await self.courier.ask(SYSTEM_ADDRESS, "info", Nothing(), Info, budget=budget)

    def open_events(self) -> AbstractAsyncContextManager[AsyncIterator[SeenEvent]]:
        """Subscribe to every sandbox and container: what is the case, then what changes."""
        return open_events_of(self.courier, SYSTEM_ADDRESS)

    def sandbox(self, name: str) -> SandboxHandle:
        """A handle on a sandbox that exists already; asks nothing."""
        return SandboxHandle(self.courier, name)
