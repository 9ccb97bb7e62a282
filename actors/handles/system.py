"""The handle on a system: makes sandboxes, and tells what there is.

Not for opening a system: `actors.api` does, and gives one of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.handles.base import UNSET, Handle, SeenEvent, Timeout
from actors.handles.sandbox import SandboxHandle
from actors.wire.spec import SandboxSpec
from actors.wire.verbs import CreateSandbox, Info, Nothing, SystemVerbs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager


__all__ = ["SystemHandle"]


SYSTEM_ADDRESS = ""


@dataclass(frozen=True, slots=True)
class SystemHandle(Handle):
    """The root of one system of actors."""

    address: str = SYSTEM_ADDRESS

    async def create_sandbox(
        self,
        name: str,
        spec: SandboxSpec | None = None,
        *,
        timeout: Timeout = UNSET,
    ) -> SandboxHandle:
        """Make a sandbox actor; nothing runs before its `start`. Raises: AlreadyExists, InvalidArgument."""
        made = await self._ask(
            SystemVerbs.create_sandbox, CreateSandbox(name, SandboxSpec() if spec is None else spec), timeout
        )
        return SandboxHandle(self.client, made.address)

    async def info(self, *, timeout: Timeout = UNSET) -> Info:
        """The system's own view: its sandboxes are the `children`."""
        return await self._ask(SystemVerbs.info, Nothing(), timeout)

    def open_events(self) -> AbstractAsyncContextManager[AsyncIterator[SeenEvent]]:
        """Subscribe to every sandbox and container: what is the case, then what changes."""
        return self._open_events()

    def sandbox(self, name: str) -> SandboxHandle:
        """A handle on a sandbox that exists already; asks nothing."""
        return SandboxHandle(self.client, name)
