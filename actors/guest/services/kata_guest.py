"""The kata agent API's calls on the guest itself: details, clock, randomness, files and network.

Called by `kata`, which decodes and encodes. The platform performs or refuses them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.errors import InvalidArgument
from actors.guest.shared import SHARED_DIRECTORY, SharedFiles, shared_path
from actors.schemas import agent as api
from actors.schemas import network as net
from actors.schemas.guestwords import SERVICE, GuestWords, say_words
from actors.schemas.resources import VolumeCondition, VolumeStatsResponse, VolumeUnit, VolumeUsage

if TYPE_CHECKING:
    from collections.abc import Mapping

    import msgspec

    from actors.guest.model import GuestModel
    from actors.guest.platform import Platform
    from actors.guest.services.method import Method
    from actors.limits import Limits
    from actors.schemas.resources import OnlineCPUMemRequest, VolumeStatsRequest

__all__ = ["GuestCalls"]

_GRPC_VERSION = "0.0.1"


class GuestCalls:
    """See the module."""

    def __init__(self, model: GuestModel, platform: Platform, limits: Limits, *, version: str, engine: str) -> None:
        self._model = model
        self._platform = platform
        self._limits = limits
        self._version = version
        self._engine = engine
        self._shared = SharedFiles(limits)

    async def forget_files(self) -> None:
        """Clean up at the sandbox's end."""
        await trio.lowlevel.checkpoint()
        self._shared.clear()

    def methods(self) -> Mapping[str, Method]:
        """By call name."""
        return {
            "Check": self._check,
            "Version": self._get_version,
            "GetGuestDetails": self._details,
            "OnlineCPUMem": self._online_cpu_mem,
            "SetGuestDateTime": self._set_time,
            "ReseedRandomDev": self._reseed,
            "CopyFile": self._copy_file,
            "ListInterfaces": self._list_interfaces,
            "UpdateInterface": self._update_interface,
            "ListRoutes": self._list_routes,
            "UpdateRoutes": self._update_routes,
            "AddARPNeighbors": self._add_neighbors,
            "GetIPTables": self._packet_filter,
            "SetIPTables": self._set_packet_filter,
            "GetVolumeStats": self._volume_stats,
        }

    async def _check(self, _: api.CheckRequest) -> msgspec.Struct:
        return api.HealthCheckResponse(status=1)

    async def _get_version(self, request: api.VersionRequest) -> msgspec.Struct:
        told = _GRPC_VERSION
        if request.service == SERVICE:
            told = say_words(GuestWords(self._engine, self._model.sandbox is not None))
        return api.VersionCheckResponse(grpc_version=told, agent_version=self._version)

    async def _details(self, request: api.GuestDetailsRequest) -> msgspec.Struct:
        details = api.AgentDetails(
            version=self._version, init_daemon=True, extra_features=(f"katrio.engine={self._engine}",)
        )
        block = self._platform.memory_block_bytes if request.mem_block_size else 0
        return api.GuestDetailsResponse(mem_block_size_bytes=block, agent_details=details)

    async def _online_cpu_mem(self, request: OnlineCPUMemRequest) -> msgspec.Struct:
        await self._platform.online_cpu_mem(request.nb_cpus, cpu_only=request.cpu_only, wait=request.wait)
        return api.Empty()

    async def _set_time(self, request: api.SetGuestDateTimeRequest) -> msgspec.Struct:
        if request.Sec < 0 or not 0 <= request.Usec < 1_000_000:
            raise InvalidArgument(f"{request.Sec} s and {request.Usec} us since 1970: no such time", field="Usec")
        await self._platform.set_time(request.Sec, request.Usec)
        return api.Empty()

    async def _reseed(self, request: api.ReseedRandomDevRequest) -> msgspec.Struct:
        if not 0 < len(request.data) <= self._limits.random_bytes:
            raise InvalidArgument(
                f"{len(request.data)} random bytes: expected 1 to {self._limits.random_bytes}", field="data"
            )
        await self._platform.reseed(request.data)
        return api.Empty()

    async def _copy_file(self, request: api.CopyFileRequest) -> msgspec.Struct:
        file = self._shared.take(request)
        if file is not None:
            with self._shared.placing(file):
                await self._platform.place(file)
        return api.Empty()

    async def _list_interfaces(self, _: net.ListInterfacesRequest) -> msgspec.Struct:
        return net.Interfaces(await self._platform.interfaces())

    async def _update_interface(self, request: net.UpdateInterfaceRequest) -> msgspec.Struct:
        if request.interface is None:
            raise InvalidArgument("UpdateInterface: interface is missing", field="interface")
        return await self._platform.update_interface(request.interface)

    async def _list_routes(self, _: net.ListRoutesRequest) -> msgspec.Struct:
        return net.Routes(await self._platform.routes())

    async def _update_routes(self, request: net.UpdateRoutesRequest) -> msgspec.Struct:
        if request.routes is None:
            raise InvalidArgument("UpdateRoutes: routes is missing", field="routes")
        return net.Routes(await self._platform.update_routes(request.routes.Routes))

    async def _add_neighbors(self, request: net.AddARPNeighborsRequest) -> msgspec.Struct:
        if request.neighbors is None:
            raise InvalidArgument("AddARPNeighbors: neighbors is missing", field="neighbors")
        await self._platform.add_neighbors(request.neighbors.ARPNeighbors)
        return api.Empty()

    async def _packet_filter(self, request: net.GetIPTablesRequest) -> msgspec.Struct:
        return net.GetIPTablesResponse(await self._platform.packet_filter(ipv6=request.is_ipv6))

    async def _set_packet_filter(self, request: net.SetIPTablesRequest) -> msgspec.Struct:
        return net.SetIPTablesResponse(await self._platform.set_packet_filter(request.data, ipv6=request.is_ipv6))

    async def _volume_stats(self, request: VolumeStatsRequest) -> msgspec.Struct:
        asked = request.volume_guest_path
        use = await self._platform.volume("" if asked.rstrip("/") == SHARED_DIRECTORY else shared_path(asked))
        return VolumeStatsResponse(
            usage=(
                VolumeUsage(use.available, use.total, use.used, VolumeUnit.BYTES),
                VolumeUsage(use.inodes_available, use.inodes, use.inodes_used, VolumeUnit.INODES),
            ),
            volume_condition=VolumeCondition(abnormal=False),
        )
