"""What a container's control groups and network devices count: the reply of `StatsContainer`.

Fields are named as in agent.proto. Times in nanoseconds, sizes in bytes, all since the container was created. Not for reading
them from the kernel: engines do.
"""

# Made by scripts/make-structs from tables/kata-agent.json, kata-agent-1x.json and structs.toml.

from __future__ import annotations

from msgspec import Struct

__all__ = [
    "BlkioStats",
    "BlkioStatsEntry",
    "CgroupStats",
    "CpuStats",
    "CpuUsage",
    "HugetlbStats",
    "MemoryData",
    "MemoryStats",
    "NetworkStats",
    "PidsStats",
    "StatsContainerResponse",
    "ThrottlingData",
]


class CpuUsage(Struct, frozen=True):
    """Processor time in ns; `percpu_usage` has one number for each processor."""

    total_usage: int = 0
    percpu_usage: tuple[int, ...] = ()
    usage_in_kernelmode: int = 0
    usage_in_usermode: int = 0


class ThrottlingData(Struct, frozen=True):
    """How often and how long (ns) a quota held the container back."""

    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0


class CpuStats(Struct, frozen=True):
    """Processor time and throttling."""

    cpu_usage: CpuUsage | None = None
    throttling_data: ThrottlingData | None = None


class PidsStats(Struct, frozen=True):
    """Tasks now, and their limit (0: none)."""

    current: int = 0
    limit: int = 0


class MemoryData(Struct, frozen=True):
    """One kind of memory: bytes now, most ever, failed charges, limit."""

    usage: int = 0
    max_usage: int = 0
    failcnt: int = 0
    limit: int = 0


class MemoryStats(Struct, frozen=True):
    """Memory in bytes; `stats` is the kernel's memory.stat."""

    cache: int = 0
    usage: MemoryData | None = None
    swap_usage: MemoryData | None = None
    kernel_usage: MemoryData | None = None
    use_hierarchy: bool = False
    stats: dict[str, int] = {}


class BlkioStatsEntry(Struct, frozen=True):
    """One counter of one block device."""

    major: int = 0
    minor: int = 0
    op: str = ""
    value: int = 0


class BlkioStats(Struct, frozen=True):
    """Counters of block devices, by kind."""

    io_service_bytes_recursive: tuple[BlkioStatsEntry, ...] = ()
    io_serviced_recursive: tuple[BlkioStatsEntry, ...] = ()
    io_queued_recursive: tuple[BlkioStatsEntry, ...] = ()
    io_service_time_recursive: tuple[BlkioStatsEntry, ...] = ()
    io_wait_time_recursive: tuple[BlkioStatsEntry, ...] = ()
    io_merged_recursive: tuple[BlkioStatsEntry, ...] = ()
    io_time_recursive: tuple[BlkioStatsEntry, ...] = ()
    sectors_recursive: tuple[BlkioStatsEntry, ...] = ()


class HugetlbStats(Struct, frozen=True):
    """Bytes of one huge page size: now, most ever, failed charges."""

    usage: int = 0
    max_usage: int = 0
    failcnt: int = 0


class CgroupStats(Struct, frozen=True):
    """All control group counters; `hugetlb_stats` by page size, as `2MB`."""

    cpu_stats: CpuStats | None = None
    memory_stats: MemoryStats | None = None
    pids_stats: PidsStats | None = None
    blkio_stats: BlkioStats | None = None
    hugetlb_stats: dict[str, HugetlbStats] = {}


class NetworkStats(Struct, frozen=True):
    """Counters of one network device."""

    name: str = ""
    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


class StatsContainerResponse(Struct, frozen=True):
    """Reply to `StatsContainer`."""

    cgroup_stats: CgroupStats | None = None
    network_stats: tuple[NetworkStats, ...] = ()
