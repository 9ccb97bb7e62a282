"""The platform port: what a guest is asked to do to the machine that it runs on, beside running containers.

For the services. Two kinds: `BarePlatform`, for a guest that has nothing of its own (the simulation), and the embedded
one (`embedded`), which shares its machine with the host and owns namespaces of it at best. Not for containers: engines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import trio

from actors.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.guest.metrics import Family
    from actors.guest.shared import SharedFile
    from actors.schemas import network

__all__ = ["BarePlatform", "Platform", "VolumeUse"]


class VolumeUse(NamedTuple):
    """Of one file system, in bytes and in inodes; `available` is what others than root may still take."""

    total: int
    used: int
    available: int
    inodes: int
    inodes_used: int
    inodes_available: int


class Platform(Protocol):
    """Each method raises Unsupported where this guest can't do it: success would be a lie."""

    @property
    def memory_block_bytes(self) -> int:
        """The unit in which memory could be plugged in; 0 when that is not known."""
        ...

    def set_hostname(self, name: str) -> None:
        """The sandbox's; without a name of its own nothing happens, as nobody could see it."""

    async def set_sysctls(self, wanted: Mapping[str, str]) -> Mapping[str, str]:
        """Set those of the sandbox's namespaces, by their names with dots; what they were before.

        Raises: InvalidArgument, Unsupported (`linux.sysctl`); then all are as before.
        """
        ...

    async def online_cpu_mem(self, cpus: int, *, cpu_only: bool, wait: bool) -> None:
        """Bring up processors and memory that were plugged in."""

    async def set_time(self, seconds: int, microseconds: int) -> None:
        """Set the wall clock, since 1970."""

    async def reseed(self, data: bytes) -> None:
        """Mix `data` into the kernel's pool of randomness."""

    async def place(self, file: SharedFile) -> None:
        """Put a whole file into the shared directory, replacing what is there.

        Raises: PermissionDenied when the way to it leads out, ResourceExhausted.
        """

    def locate(self, path: str) -> str:
        """Where a container's mount finds what the shared directory has at `path` (relative to it).

        Raises: NotFound; PermissionDenied when the way to it leads out.
        """
        ...

    async def interfaces(self) -> tuple[network.Interface, ...]:
        """The sandbox's network devices."""
        ...

    async def update_interface(self, interface: network.Interface) -> network.Interface:
        """Change one. Raises: NotFound, InvalidArgument."""
        ...

    async def routes(self) -> tuple[network.Route, ...]:
        """The sandbox's routes."""
        ...

    async def update_routes(self, routes: tuple[network.Route, ...]) -> tuple[network.Route, ...]:
        """Replace them; how they are then. Raises: InvalidArgument."""
        ...

    async def add_neighbors(self, neighbors: tuple[network.ARPNeighbor, ...]) -> None:
        """Add to the sandbox's table of neighbours. Raises: NotFound, InvalidArgument."""

    async def packet_filter(self, *, ipv6: bool) -> bytes:
        """The sandbox's, as iptables-save prints it."""
        ...

    async def set_packet_filter(self, data: bytes, *, ipv6: bool) -> bytes:
        """Replace it; what iptables-restore said. Raises: InvalidArgument."""
        ...

    async def clear(self) -> None:
        """Forget whatever the sandbox has left, its containers being gone: shared files, network. Idempotent.

        Raises: AgentError.
        """

    async def volume(self, path: str) -> VolumeUse:
        """How full what holds the shared directory's `path` is (relative to it; empty: itself).

        Raises: NotFound; PermissionDenied when the way to it leads out.
        """
        ...

    async def measures(self) -> list[Family]:
        """What it counts of itself; empty where it counts nothing."""
        ...


class BarePlatform:
    """A machine with nothing to change. Shared files are kept, and can be looked at by their path."""

    def __init__(self) -> None:
        self.files: dict[str, SharedFile] = {}

    @property
    def memory_block_bytes(self) -> int:
        return 0

    def set_hostname(self, name: str) -> None:
        """Nobody sees it."""

    async def set_sysctls(self, wanted: Mapping[str, str]) -> Mapping[str, str]:
        await trio.lowlevel.checkpoint()
        if wanted:
            raise Unsupported(
                f"sysctl {next(iter(wanted))[:80]!r}: this guest has no namespaces of its own to set it in; leave it out",
                field="linux.sysctl",
            )
        return {}

    async def online_cpu_mem(self, cpus: int, *, cpu_only: bool, wait: bool) -> None:
        await _refuse("online_cpu_mem: this guest is no VM, nothing can be plugged into it")

    async def set_time(self, seconds: int, microseconds: int) -> None:
        await _refuse("set_guest_time: this guest is no VM, its clock is not its own")

    async def reseed(self, data: bytes) -> None:
        await _refuse("reseed_random: this guest has no pool of randomness")

    async def place(self, file: SharedFile) -> None:
        await trio.lowlevel.checkpoint()
        self.files[file.path] = file

    def locate(self, path: str) -> str:
        return path

    async def interfaces(self) -> tuple[network.Interface, ...]:
        return await self._no_network("list_interfaces")

    async def update_interface(self, interface: network.Interface) -> network.Interface:
        await self._no_network("update_interface")
        return interface

    async def routes(self) -> tuple[network.Route, ...]:
        return await self._no_network("list_routes")

    async def update_routes(self, routes: tuple[network.Route, ...]) -> tuple[network.Route, ...]:
        return await self._no_network("update_routes")

    async def add_neighbors(self, neighbors: tuple[network.ARPNeighbor, ...]) -> None:
        await self._no_network("add_arp_neighbors")

    async def packet_filter(self, *, ipv6: bool) -> bytes:
        await self._no_network("get_ip_tables")
        return b""

    async def set_packet_filter(self, data: bytes, *, ipv6: bool) -> bytes:
        await self._no_network("set_ip_tables")
        return b""

    async def clear(self) -> None:
        await trio.lowlevel.checkpoint()
        self.files.clear()

    async def volume(self, path: str) -> VolumeUse:
        await _refuse("get_volume_stats: this guest has no volumes")
        raise AssertionError("unreachable")

    async def measures(self) -> list[Family]:
        await trio.lowlevel.checkpoint()
        return []

    async def _no_network(self, verb: str) -> tuple[()]:
        await _refuse(f"{verb}: this guest has no network of its own")
        return ()


async def _refuse(why: str) -> None:
    await trio.lowlevel.checkpoint()
    raise Unsupported(why)
