"""The handle on a system: makes sandboxes, and tells what there is.

Not for opening a system: `actors.api` does, and gives one of these.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from actors.errors import InvalidTransition
from actors.handles.base import UNSET, Deadline, Handle, SeenEvent, Timeout, check_bytes
from actors.handles.process import Completed, checked_bound
from actors.handles.sandbox import SandboxHandle
from actors.nurseries import open_collapsing_nursery
from actors.wire.spec import SandboxSpec
from actors.wire.verbs import CreateSandbox, Info, Nothing, SystemVerbs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from actors.handles.process import ProcessHandle
    from actors.wire.spec import ContainerSpec

__all__ = ["SystemHandle"]

SYSTEM_ADDRESS = ""
# the one container of a `run`
CONTAINER = "main"


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

    async def run(
        self,
        name: str,
        spec: ContainerSpec,
        *,
        stdin: bytes = b"",
        timeout: float | None = None,
        max_bytes: int | None = None,
    ) -> Completed:  # a cancel scope would lose what was read
        """Run one container to its end in a sandbox of its own, which is deleted afterwards, whatever happens.

        Args:
            name: the sandbox's.
            stdin: what its init reads, then end of file.
            timeout: seconds for all of it but the delete; what was written up to then is given. None: no end. What makes
                and deletes the sandbox is not cut short by a cancel, and takes up to the limits' `ask_seconds`.
            max_bytes: see `ProcessHandle.collect`.

        Raises: AlreadyExists, InvalidArgument, GuestDied, and what else a start can fail with.
        """
        deadline = Deadline(self.client, timeout)
        check_bytes(stdin, "stdin")
        bound = checked_bound(self.client, max_bytes)
        box = self.sandbox(name)
        # whoever was cancelled here could not tell whether there is a sandbox to delete
        with trio.CancelScope(shield=True):
            await self.create_sandbox(name)
        try:
            init = None
            with trio.move_on_at(deadline.at):
                await box.start()
                container = await box.create_container(CONTAINER, spec)
                await container.start()
                init = container.init
            if init is None:
                return Completed(None, b"", b"")
            async with open_collapsing_nursery() as nursery:
                nursery.start_soon(_feed, init, stdin)
                done = await init.collect(timeout=deadline.left(), max_bytes=bound)
                nursery.cancel_scope.cancel()
            return done
        finally:
            with trio.CancelScope(shield=True):
                await box.delete(force=True)

    async def info(self, *, timeout: Timeout = UNSET) -> Info:
        """The system's own view: its sandboxes are the `children`."""
        return await self._ask(SystemVerbs.info, Nothing(), timeout)

    def open_events(self) -> AbstractAsyncContextManager[AsyncIterator[SeenEvent]]:
        """Subscribe to every sandbox and container: what is the case, then what changes."""
        return self._open_events()

    def sandbox(self, name: str) -> SandboxHandle:
        """A handle on a sandbox that exists already; asks nothing."""
        return SandboxHandle(self.client, name)


async def _feed(process: ProcessHandle, data: bytes) -> None:
    """All of its input, as fast as it reads; what it did not wait for is no error."""
    # it has ended before it was asked: its exit code says how
    with suppress(InvalidTransition):
        await process.write(data, timeout=None)
        await process.close_stdin()
