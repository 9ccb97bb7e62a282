"""The handle on a sandbox: its guest, and the containers in it.

Not for what runs in a container: `container` and `process`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.handles.base import UNSET, Deadline, Handle, SeenEvent, Timeout, check_bytes, with_grace
from actors.handles.container import ContainerHandle
from actors.wire.sandbox_verbs import (
    Checked,
    CopyFile,
    CreateContainer,
    OnlineCpuMem,
    ReseedRandom,
    Routes,
    SandboxVerbs,
    SetGuestTime,
    UpdateInterface,
)
from actors.wire.verbs import Info, Nothing, Stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from actors.wire.reports import Capabilities, GuestDetails, Interface, Route
    from actors.wire.spec import ContainerSpec

__all__ = ["SandboxHandle"]


@dataclass(frozen=True, slots=True)
class SandboxHandle(Handle):
    """One sandbox: a guest and the containers in it."""

    async def start(self, *, timeout: Timeout = UNSET) -> None:
        """Bring up its guest and connect. Raises: GuestDied, AgentUnreachable, InvalidTransition."""
        await self._ask(SandboxVerbs.start, Nothing(), timeout)

    async def stop(self, *, grace: float | None = None, timeout: Timeout = UNSET) -> None:
        """Stop every container (polite signal, `grace` seconds, SIGKILL), then the guest. Idempotent."""
        timeout = with_grace(self.client, timeout, grace)
        await self._ask(SandboxVerbs.stop, Stop(grace_seconds=grace), timeout)

    async def delete(self, *, force: bool = False, timeout: Timeout = UNSET) -> None:
        """Forget it. Raises: InvalidTransition while it runs, unless `force`: then it is stopped first, without grace.

        With `force` one that is not there is no error.
        """
        await self._delete(SandboxVerbs.delete, timeout, force=force)

    async def check(self, *, timeout: Timeout = UNSET) -> Checked:
        """Ask its agent whether it serves."""
        return await self._ask(SandboxVerbs.check, Nothing(), timeout)

    async def info(self, *, timeout: Timeout = UNSET) -> Info:
        """Its state, and its containers as `children`."""
        return await self._ask(SandboxVerbs.info, Nothing(), timeout)

    def open_events(self) -> AbstractAsyncContextManager[AsyncIterator[SeenEvent]]:
        """Subscribe to it and its containers: what is the case, then what changes; ends when it is deleted."""
        return self._open_events()

    async def capabilities(self, *, timeout: Timeout = UNSET) -> Capabilities:
        """What its agent can be given."""
        return await self._ask(SandboxVerbs.capabilities, Nothing(), timeout)

    async def get_guest_details(self, *, timeout: Timeout = UNSET) -> GuestDetails:
        """What its guest says of itself."""
        return await self._ask(SandboxVerbs.get_guest_details, Nothing(), timeout)

    async def disconnect(self, *, timeout: Timeout = UNSET) -> None:
        """Close its own connection to the agent; it is dialled again when it is next needed. Idempotent.

        What was in flight on it ends at once; its containers have connections of their own.
        """
        await self._ask(SandboxVerbs.disconnect, Nothing(), timeout)

    async def online_cpu_mem(
        self, cpus: int, *, cpu_only: bool = False, wait: bool = False, timeout: Timeout = UNSET
    ) -> None:
        """Bring up what was plugged into its machine. Raises: Unsupported where the guest is no VM."""
        args = OnlineCpuMem(cpus, cpu_only, wait)
        await self._ask(SandboxVerbs.online_cpu_mem, args, timeout)

    async def set_guest_time(self, seconds: int, microseconds: int = 0, *, timeout: Timeout = UNSET) -> None:
        """Set its clock, since 1970. Raises: Unsupported where the guest shares this machine's clock."""
        args = SetGuestTime(seconds, microseconds)
        await self._ask(SandboxVerbs.set_guest_time, args, timeout)

    async def reseed_random(self, data: bytes, *, timeout: Timeout = UNSET) -> None:
        """Mix 1 to 512 random bytes into its kernel's pool. Raises: InvalidArgument."""
        await self._ask(SandboxVerbs.reseed_random, ReseedRandom(data), timeout)

    async def copy_file(
        self,
        path: str,
        data: bytes,
        *,
        mode: int = 0o644,
        directory_mode: int = 0o755,
        uid: int = 0,
        gid: int = 0,
        timeout: Timeout = UNSET,
    ) -> None:
        """Put a file into its guest's shared directory, in pieces; it appears there whole, or not at all.

        A container mounts it by its path below /run/kata-containers/shared/containers. One writer to a path.
        `timeout` is for all pieces together.
        Raises: InvalidArgument, PermissionDenied for a path that leads elsewhere, ResourceExhausted.
        """
        check_bytes(data)
        chunk_bytes = self.client.limits.chunk_bytes
        deadline = Deadline(self.client, timeout)
        for offset in range(0, max(len(data), 1), chunk_bytes):
            piece = CopyFile(
                path=path,
                size=len(data),
                data=data[offset : offset + chunk_bytes],
                offset=offset,
                mode=mode,
                directory_mode=directory_mode,
                uid=uid,
                gid=gid,
            )
            await self._ask(SandboxVerbs.copy_file, piece, deadline.left())

    async def list_interfaces(self, *, timeout: Timeout = UNSET) -> tuple[Interface, ...]:
        """Its network devices. Raises: Unsupported where the guest has no network of its own."""
        answer = await self._ask(SandboxVerbs.list_interfaces, Nothing(), timeout)
        return answer.interfaces

    async def update_interface(self, interface: Interface, *, timeout: Timeout = UNSET) -> Interface:
        """Give a network device its addresses, and what else is named; how it is then."""
        args = UpdateInterface(interface)
        return await self._ask(SandboxVerbs.update_interface, args, timeout)

    async def list_routes(self, *, timeout: Timeout = UNSET) -> tuple[Route, ...]:
        """Its routes. Raises: Unsupported where the guest has no network of its own."""
        return (await self._ask(SandboxVerbs.list_routes, Nothing(), timeout)).routes

    async def update_routes(self, routes: tuple[Route, ...], *, timeout: Timeout = UNSET) -> tuple[Route, ...]:
        """Replace its routes; how they are then."""
        return (await self._ask(SandboxVerbs.update_routes, Routes(routes), timeout)).routes

    async def create_container(self, name: str, spec: ContainerSpec, *, timeout: Timeout = UNSET) -> ContainerHandle:
        """Make a container whose init waits for `start`. Raises: AlreadyExists, InvalidArgument."""
        made = await self._ask(SandboxVerbs.create_container, CreateContainer(name, spec), timeout)
        return ContainerHandle(self.client, made.address)

    def container(self, name: str) -> ContainerHandle:
        """A handle on a container that exists already; asks nothing."""
        return ContainerHandle(self.client, f"{self.address}/{name}")
