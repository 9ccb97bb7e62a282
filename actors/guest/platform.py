"""The platform interface: what a guest can change on its machine, besides running containers.

Two implementations: `BarePlatform`, for a guest with nothing of its own (the simulation), and
`embedded`, which shares its machine with the host and has at most namespaces of its own.
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
    """Usage of one file system, in bytes and inodes; `available` is what non-root users may still use."""

    total: int
    used: int
    available: int
    inodes: int
    inodes_used: int
    inodes_available: int


class Platform(Protocol):
    """Each method raises Unsupported where this guest can't do it, rather than report success."""

    @property
    def memory_block_bytes(self) -> int:
        """The granularity of memory hotplug; 0 if unknown."""
        ...

    def set_hostname(self, name: str) -> None:
        """Set the sandbox's hostname; a no-op without a UTS namespace of its own."""

    async def set_sysctls(self, wanted: Mapping[str, str]) -> Mapping[str, str]:
        """Set sysctls of the sandbox's namespaces, by dotted name; returns their previous values.

        Raises: InvalidArgument, Unsupported (`linux.sysctl`); then all are restored.
        """
        ...

    async def online_cpu_mem(self, cpus: int, *, cpu_only: bool, wait: bool) -> None:
        """Bring hotplugged CPUs and memory online."""

    async def set_time(self, seconds: int, microseconds: int) -> None:
        """Set the wall clock (Unix time)."""

    async def reseed(self, data: bytes) -> None:
        """Mix `data` into the kernel's entropy pool."""

    async def place(self, file: SharedFile) -> None:
        """Write a whole file into the shared directory, replacing an existing one.

        Raises: PermissionDenied if its path leads out, ResourceExhausted.
        """

    def locate(self, path: str) -> str:
        """The path by which a container's mount finds `path`, relative to the shared directory.

        Raises: NotFound; PermissionDenied if the path leads out.
        """
        ...

    async def interfaces(self) -> tuple[network.Interface, ...]:
        """The sandbox's network interfaces."""
        ...

    async def update_interface(self, interface: network.Interface) -> network.Interface:
        """Change one. Raises: NotFound, InvalidArgument."""
        ...

    async def routes(self) -> tuple[network.Route, ...]:
        """The sandbox's routes."""
        ...

    async def update_routes(self, routes: tuple[network.Route, ...]) -> tuple[network.Route, ...]:
        """Replace all routes; returns the new ones. Raises: InvalidArgument."""
        ...

    async def add_neighbors(self, neighbors: tuple[network.ARPNeighbor, ...]) -> None:
        """Add to the sandbox's neighbour table. Raises: NotFound, InvalidArgument."""

    async def packet_filter(self, *, ipv6: bool) -> bytes:
        """The output of iptables-save for the sandbox."""
        ...

    async def set_packet_filter(self, data: bytes, *, ipv6: bool) -> bytes:
        """Replace it; returns iptables-restore's output. Raises: InvalidArgument."""
        ...

    async def clear(self) -> None:
        """Remove everything the sandbox has left, after its containers are gone: shared files, network. Idempotent.

        Raises: AgentError.
        """

    async def volume(self, path: str) -> VolumeUse:
        """Usage of the file system that holds `path`, relative to the shared directory (empty: the directory itself).

        Raises: NotFound; PermissionDenied if the path leads out.
        """
        ...

    async def measures(self) -> list[Family]:
        """Metrics of the guest; empty if there are none."""
        ...


class BarePlatform:
    """A machine with nothing to change. Shared files are stored, and can be inspected by path."""

    def __init__(self) -> None:
        self.files: dict[str, SharedFile] = {}

    @property
    def memory_block_bytes(self) -> int:
        return 0

    def set_hostname(self, name: str) -> None:
        """No one can see it."""

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
