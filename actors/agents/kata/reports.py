"""Converts a Kata agent's responses to the plain values of the agent interface, and back where a verb sends them.

Every field comes from an untrusted guest: sizes are bounded by the frame, and unreadable values are protocol errors.
Limits and specifications are in `spec`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.agents.kata.checks import checked_address, checked_items, checked_name
from actors.errors import AgentProtocolError
from actors.limits import DEFAULT_LIMITS
from actors.schemas import network as net
from actors.wire.reports import (
    Address,
    BlockCounter,
    Capabilities,
    ContainerStats,
    CpuStats,
    GuestDetails,
    HugePageStats,
    Interface,
    MemoryStats,
    MemoryUse,
    NetworkStats,
    PidsStats,
    Route,
)

if TYPE_CHECKING:
    from actors.schemas.agent import GuestDetailsResponse
    from actors.schemas.stats import (
        BlkioStatsEntry,
        CgroupStats,
        MemoryData,
        StatsContainerResponse,
    )

__all__ = [
    "api_interface",
    "api_route",
    "capabilities",
    "container_stats",
    "guest_details",
    "plain_interface",
    "plain_route",
]

# agents' names of block device handlers: today's driver names, and 1.x's
_BLOCK_HANDLERS = frozenset({"blk", "mmioblk", "blk-ccw", "scsi", "nvdimm"})


def guest_details(response: GuestDetailsResponse) -> GuestDetails:
    """From GetGuestDetails. Raises: AgentProtocolError."""
    agent = response.agent_details
    if agent is None:
        raise AgentProtocolError("GetGuestDetails: the agent's own details are missing")
    return GuestDetails(
        agent_version=checked_name("agent_details.version", agent.version),
        init_daemon=agent.init_daemon,
        memory_block_bytes=response.mem_block_size_bytes,
        memory_hotplug_probe=response.support_mem_hotplug_probe,
        device_handlers=_names("device_handlers", agent.device_handlers),
        storage_handlers=_names("storage_handlers", agent.storage_handlers),
        seccomp=agent.supports_seccomp,
        features=_names("extra_features", agent.extra_features),
    )


def _names(field: str, names: tuple[str, ...]) -> tuple[str, ...]:
    checked_items(field, names, DEFAULT_LIMITS.agent_names)
    return tuple(checked_name(field, name) for name in names)


def capabilities(details: GuestDetails) -> Capabilities:
    """Derived from a guest's details; virtcontainers assumes block devices, we ask."""
    return Capabilities(
        block_devices=not _BLOCK_HANDLERS.isdisjoint((*details.device_handlers, *details.storage_handlers)),
        seccomp=details.seccomp,
        features=details.features,
    )


def container_stats(response: StatsContainerResponse) -> ContainerStats:
    """From StatsContainer; a missing part is None. Raises: AgentProtocolError."""
    groups = response.cgroup_stats
    network = tuple(
        NetworkStats(
            name=checked_name("network_stats.name", one.name),
            received_bytes=one.rx_bytes,
            received_packets=one.rx_packets,
            sent_bytes=one.tx_bytes,
            sent_packets=one.tx_packets,
        )
        for one in checked_items("network_stats", response.network_stats, DEFAULT_LIMITS.agent_names)
    )
    if groups is None:
        return ContainerStats(network=network)
    pids = groups.pids_stats
    return ContainerStats(
        cpu=_cpu(groups),
        memory=_memory(groups),
        pids=None if pids is None else PidsStats(current=pids.current, limit=pids.limit),
        block_io=_block_io(groups),
        huge_pages={
            checked_name("hugetlb_stats", size): HugePageStats(
                bytes=one.usage, max_bytes=one.max_usage, failures=one.failcnt
            )
            for size, one in groups.hugetlb_stats.items()
        },
        network=network,
    )


def _cpu(groups: CgroupStats) -> CpuStats | None:
    stats = groups.cpu_stats
    if stats is None or stats.cpu_usage is None:
        return None
    used, held = stats.cpu_usage, stats.throttling_data
    return CpuStats(
        total_ns=used.total_usage,
        user_ns=used.usage_in_usermode,
        kernel_ns=used.usage_in_kernelmode,
        per_cpu_ns=tuple(checked_items("percpu_usage", used.percpu_usage, DEFAULT_LIMITS.processors)),
        periods=0 if held is None else held.periods,
        throttled_periods=0 if held is None else held.throttled_periods,
        throttled_ns=0 if held is None else held.throttled_time,
    )


def _memory(groups: CgroupStats) -> MemoryStats | None:
    stats = groups.memory_stats
    if stats is None or stats.usage is None:
        return None
    return MemoryStats(
        usage=_use(stats.usage),
        swap=None if stats.swap_usage is None else _use(stats.swap_usage),
        kernel=None if stats.kernel_usage is None else _use(stats.kernel_usage),
        cache_bytes=stats.cache,
        detail={checked_name("memory_stats", name): value for name, value in stats.stats.items()},
    )


def _use(data: MemoryData) -> MemoryUse:
    return MemoryUse(bytes=data.usage, max_bytes=data.max_usage, limit_bytes=data.limit, failures=data.failcnt)


def _block_io(groups: CgroupStats) -> tuple[BlockCounter, ...]:
    stats = groups.blkio_stats
    if stats is None:
        return ()

    def counters(kind: str, entries: tuple[BlkioStatsEntry, ...]) -> tuple[BlockCounter, ...]:
        return tuple(
            BlockCounter(
                device=f"{one.major}:{one.minor}",
                kind=kind,
                operation=checked_name("blkio.op", one.op),
                value=one.value,
            )
            for one in entries
        )

    return (
        *counters("bytes", stats.io_service_bytes_recursive),
        *counters("operations", stats.io_serviced_recursive),
    )


def api_interface(interface: Interface) -> net.Interface:
    """For UpdateInterface."""
    return net.Interface(
        device=interface.device,
        name=interface.name or interface.device,
        IPAddresses=tuple(
            net.IPAddress(
                family=net.IPFamily.v6 if ":" in one.address else net.IPFamily.v4,
                address=one.address,
                mask=str(one.prefix),
            )
            for one in interface.addresses
        ),
        mtu=interface.mtu,
        hwAddr=interface.hardware_address,
    )


def plain_interface(interface: net.Interface) -> Interface:
    """From the agent's interface. Raises: AgentProtocolError."""
    return Interface(
        device=checked_name("interface.device", interface.device or interface.name),
        name=checked_name("interface.name", interface.name),
        addresses=tuple(
            Address(checked_address("interface.address", one.address), _prefix(one)) for one in interface.IPAddresses
        ),
        mtu=interface.mtu,
        hardware_address=checked_name("interface.hwAddr", interface.hwAddr),
    )


def _prefix(address: net.IPAddress) -> int:
    if not address.mask.isascii() or not address.mask.isdigit() or int(address.mask) > 128:
        raise AgentProtocolError(f"address {address.address!r}: its mask {address.mask[:20]!r} is no prefix length")
    return int(address.mask)


def api_route(route: Route) -> net.Route:
    """For UpdateRoutes."""
    return net.Route(
        dest=route.destination,
        gateway=route.gateway,
        device=route.device,
        source=route.source,
        scope=route.scope,
        family=net.IPFamily.v6 if route.ipv6 else net.IPFamily.v4,
    )


def plain_route(route: net.Route) -> Route:
    """From the agent's route. Raises: AgentProtocolError."""
    return Route(
        destination=checked_name("route.dest", route.dest),
        gateway=checked_name("route.gateway", route.gateway),
        device=checked_name("route.device", route.device),
        source=checked_name("route.source", route.source),
        scope=route.scope,
        ipv6=route.family == net.IPFamily.v6,
    )
