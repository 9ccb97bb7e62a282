"""The handle on a sandbox: its guest, and the containers in it.

Not for what runs in a container: `container` and `process`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.handles.base import (
    DEFAULT,
    Allowance,
    Deadline,
    SeenEvent,
    check_bytes,
    delete_at,
    open_events_of,
    with_grace,
)
from actors.handles.container import ContainerHandle
from actors.wire.reports import Capabilities, GuestDetails, Interface, Route
from actors.wire.verbs import (
    Checked,
    CopyFile,
    CreateContainer,
    Created,
    Info,
    Interfaces,
    Nothing,
    OnlineCpuMem,
    ReseedRandom,
    Routes,
    SetGuestTime,
    Stop,
    UpdateInterface,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from actors.mailbox import Courier
    from actors.wire.spec import ContainerSpec

__all__ = ["SandboxHandle"]


@dataclass(frozen=True, slots=True)
class SandboxHandle:
    """One sandbox: a guest and the containers in it."""

    courier: Courier
    address: str

    async def start(self, *, budget: Allowance = DEFAULT) -> None:
        """Bring up its guest and connect. Raises: GuestDied, AgentUnreachable, InvalidTransition."""
        await self.courier.ask(self.address, "start", Nothing(), Nothing, budget=budget)

    async def stop(self, *, grace: float | None = None, budget: Allowance = DEFAULT) -> None:
        """Stop every container (polite signal, `grace` seconds, SIGKILL), then the guest. Repeated is fine."""
        budget = with_grace(self.courier, budget, grace)
        await self.courier.ask(self.address, "stop", Stop(grace_seconds=grace), Nothing, budget=budget)

    async def delete(self, *, force: bool = False, budget: Allowance = DEFAULT) -> None:
        """Forget it. Raises: InvalidTransition while it runs, unless `force`: then it is stopped first, without grace.

        With `force` one that is not there is fine.
        """
        await delete_at(self.courier, self.address, force=force, budget=budget)

    async def check(self, *, budget: Allowance = DEFAULT) -> Checked:
        """Ask its agent whether it serves."""
        return await self.courier.ask(self.address, "check", Nothing(), Checked, budget=budget)

    async def info(self, *, budget: Allowance = DEFAULT) -> Info:
        """Its state, and its containers as `children`."""
        return await self.courier.ask(self.address, "info", Nothing(), Info, budget=budget)

    def open_events(self) -> AbstractAsyncContextManager[AsyncIterator[SeenEvent]]:
        """Subscribe to it and its containers: what is the case, then what changes; ends when it is deleted."""
        return open_events_of(self.courier, self.address)

    async def capabilities(self, *, budget: Allowance = DEFAULT) -> Capabilities:
        """What its agent can be given."""
        return await self.courier.ask(self.address, "capabilities", Nothing(), Capabilities, budget=budget)

    async def get_guest_details(self, *, budget: Allowance = DEFAULT) -> GuestDetails:
        """What its guest says of itself."""
        return await self.courier.ask(self.address, "get_guest_details", Nothing(), GuestDetails, budget=budget)

    async def disconnect(self, *, budget: Allowance = DEFAULT) -> None:
        """Close its own connection to the agent; it is dialled again when it is next needed. Repeated is fine.

        What was in flight on it ends at once; its containers have connections of their own.
        """
        await self.courier.ask(self.address, "disconnect", Nothing(), Nothing, budget=budget)

    async def online_cpu_mem(
        self, cpus: int, *, cpu_only: bool = False, wait: bool = False, budget: Allowance = DEFAULT
    ) -> None:
        """Bring up what was plugged into its machine. Raises: Unsupported where the guest is no VM."""
        args = OnlineCpuMem(cpus, cpu_only, wait)
        await self.courier.ask(self.address, "online_cpu_mem", args, Nothing, budget=budget)

    async def set_guest_time(self, seconds: int, microseconds: int = 0, *, budget: Allowance = DEFAULT) -> None:
        """Set its clock, since 1970. Raises: Unsupported where the guest shares this machine's clock."""
        args = SetGuestTime(seconds, microseconds)
        await self.courier.ask(self.address, "set_guest_time", args, Nothing, budget=budget)

    async def reseed_random(self, data: bytes, *, budget: Allowance = DEFAULT) -> None:
        """Mix 1 to 512 random bytes into its kernel's pool. Raises: InvalidArgument."""
        await self.courier.ask(self.address, "reseed_random", ReseedRandom(data), Nothing, budget=budget)

    async def copy_file(
        self,
        path: str,
        data: bytes,
        *,
        mode: int = 0o644,
        directory_mode: int = 0o755,
        uid: int = 0,
        gid: int = 0,
        budget: Allowance = DEFAULT,
    ) -> None:
        """Put a file into its guest's shared directory, in pieces; it appears there whole, or not at all.

        A container mounts it by its path below /run/kata-containers/shared/containers. One writer to a path.
        `budget` is for all pieces together.
        Raises: InvalidArgument, PermissionDenied for a path that leads elsewhere, ResourceExhausted.
        """
        check_bytes(data)
        chunk_bytes = self.courier.limits.chunk_bytes
        deadline = Deadline(self.courier, budget)
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
            await self.courier.ask(self.address, "copy_file", piece, Nothing, budget=deadline.left())

    async def list_interfaces(self, *, budget: Allowance = DEFAULT) -> tuple[Interface, ...]:
        """Its network devices. Raises: Unsupported where the guest has no network of its own."""
        answer = await self.courier.ask(self.address, "list_interfaces", Nothing(), Interfaces, budget=budget)
        return answer.interfaces

    async def update_interface(self, interface: Interface, *, budget: Allowance = DEFAULT) -> Interface:
        """Give a network device its addresses, and what else is named; how it is then."""
        args = UpdateInterface(interface)
        return await self.courier.ask(self.address, "update_interface", args, Interface, budget=budget)

    async def list_routes(self, *, budget: Allowance = DEFAULT) -> tuple[Route, ...]:
        """Its routes. Raises: Unsupported where the guest has no network of its own."""
        return (await self.courier.ask(self.address, "list_routes", Nothing(), Routes, budget=budget)).routes

    async def update_routes(self, routes: tuple[Route, ...], *, budget: Allowance = DEFAULT) -> tuple[Route, ...]:
        """Replace its routes; how they are then."""
        return (await self.courier.ask(self.address, "update_routes", Routes(routes), Routes, budget=budget)).routes

    async def create_container(self, name: str, spec: ContainerSpec, *, budget: Allowance = DEFAULT) -> ContainerHandle:
        """Make a container whose init waits for `start`. Raises: AlreadyExists, InvalidArgument."""
        made = await self.courier.ask(
            self.address,
            "create_container",
            CreateContainer(name, spec),
            Created,
            budget=budget,
        )
        return ContainerHandle(self.courier, made.address)

    def container(self, name: str) -> ContainerHandle:
        """A handle on a container that exists already; asks nothing."""
        return ContainerHandle(self.courier, f"{self.address}/{name}")
