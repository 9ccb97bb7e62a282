"""A container's cgroup counters, read from their files (0.15 ms; a runtime's own verb takes 7).

For the OCI engine. v1, hybrid and v2 trees. A counter that this machine lacks stays unset, so that a zero is
always a measured zero. Network devices belong to the sandbox.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from actors.node.exhaustion import raise_if_exhausted
from actors.schemas.stats import (
    BlkioStats,
    BlkioStatsEntry,
    CgroupStats,
    CpuStats,
    CpuUsage,
    HugetlbStats,
    MemoryData,
    MemoryStats,
    PidsStats,
    ThrottlingData,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from actors.node.cgroups import CgroupLayout

__all__ = ["read_counters"]

# memory.limit_in_bytes without a limit is the highest multiple of the page size; the protocol's field has 64 bits
_UNLIMITED = 2**64 - 1
_READ_BYTES = 16 * 1024


class _Group:
    """The files of one controller in one cgroup."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = None if directory is None else str(directory)

    def text(self, name: str) -> str:
        """Empty if the file does not exist."""
        if self._directory is None:
            return ""
        # os.open/read: a sample reads two dozen files, and a text file object costs five times as much
        try:
            descriptor = os.open(f"{self._directory}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise_if_exhausted(error)
            return ""
        try:
            parts: list[bytes] = []
            while part := os.read(descriptor, _READ_BYTES):
                parts.append(part)
        except OSError:
            return ""
        finally:
            os.close(descriptor)
        return b"".join(parts).decode()

    def number(self, name: str, *, unlimited: int = _UNLIMITED) -> int:
        """0 if the file does not exist; `unlimited` for v2's `max`."""
        word = self.text(name).strip()
        return unlimited if word == "max" else int(word or 0)

    def table(self, name: str) -> dict[str, int]:
        """Parse lines of `key number`."""
        rows = (line.split() for line in self.text(name).splitlines())
        return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].lstrip("-").isdigit()}

    def names(self) -> list[str]:
        try:
            return sorted(os.listdir(self._directory)) if self._directory is not None else []
        except OSError as error:
            raise_if_exhausted(error)
            return []


def read_counters(layout: CgroupLayout, group: str) -> CgroupStats | None:
    """Sample every counter of `group`; None if it exists in no hierarchy. Raises: OSError, when no descriptor is left."""
    found: dict[str, _Group] = {}
    exists = False
    for name in ("cpu", "cpuacct", "memory", "pids", "blkio", "hugetlb"):
        hierarchy = layout.controller(name)
        directory = None if hierarchy is None else hierarchy.directory(group)
        exists = exists or (directory is not None and directory.is_dir())
        found[name] = _Group(directory)
    if not exists:
        return None
    memory = layout.controller("memory")
    if memory is not None and memory.version == 2:
        return _unified(found["memory"])
    return CgroupStats(
        cpu_stats=_cpu(found["cpu"], found["cpuacct"]),
        memory_stats=_memory(found["memory"]),
        pids_stats=_pids(found["pids"]),
        blkio_stats=_blkio(found["blkio"]),
        hugetlb_stats=_hugetlb(found["hugetlb"]),
    )


def _pids(files: _Group) -> PidsStats:
    return PidsStats(current=files.number("pids.current"), limit=files.number("pids.max", unlimited=0))


def _cpu(cpu: _Group, cpuacct: _Group) -> CpuStats:
    table = cpu.table("cpu.stat")
    return CpuStats(
        cpu_usage=CpuUsage(
            total_usage=cpuacct.number("cpuacct.usage"),
            percpu_usage=tuple(int(word) for word in cpuacct.text("cpuacct.usage_percpu").split()),
            usage_in_kernelmode=cpuacct.number("cpuacct.usage_sys"),
            usage_in_usermode=cpuacct.number("cpuacct.usage_user"),
        ),
        throttling_data=ThrottlingData(
            periods=table.get("nr_periods", 0),
            throttled_periods=table.get("nr_throttled", 0),
            throttled_time=table.get("throttled_time", 0),
        ),
    )


def _memory_data(files: _Group, kind: str) -> MemoryData | None:
    usage = files.text(f"memory.{kind}usage_in_bytes").strip()
    if not usage:
        return None
    return MemoryData(
        usage=int(usage),
        max_usage=files.number(f"memory.{kind}max_usage_in_bytes"),
        failcnt=files.number(f"memory.{kind}failcnt"),
        limit=files.number(f"memory.{kind}limit_in_bytes"),
    )


def _memory(files: _Group) -> MemoryStats:
    table = files.table("memory.stat")
    return MemoryStats(
        cache=table.get("cache", 0),
        usage=_memory_data(files, ""),
        swap_usage=_memory_data(files, "memsw."),
        kernel_usage=_memory_data(files, "kmem."),
        use_hierarchy=files.number("memory.use_hierarchy") == 1,
        stats=table,
    )


def _blkio_entries(text: str) -> tuple[BlkioStatsEntry, ...]:
    """Parse lines of `8:0 Read 4096`; the last, `Total 4096`, belongs to no device."""
    found: list[BlkioStatsEntry] = []
    for line in text.splitlines():
        row = line.split()
        if len(row) == 3:
            major, _, minor = row[0].partition(":")
            found.append(BlkioStatsEntry(int(major), int(minor), row[1], int(row[2])))
    return tuple(found)


def _blkio(files: _Group) -> BlkioStats:
    return BlkioStats(
        io_service_bytes_recursive=_blkio_entries(files.text("blkio.throttle.io_service_bytes_recursive")),
        io_serviced_recursive=_blkio_entries(files.text("blkio.throttle.io_serviced_recursive")),
    )


def _hugetlb(files: _Group) -> dict[str, HugetlbStats]:
    sizes = [name.split(".")[1] for name in files.names() if name.endswith(".usage_in_bytes") and ".rsvd." not in name]
    return {
        size: HugetlbStats(
            usage=files.number(f"hugetlb.{size}.usage_in_bytes"),
            max_usage=files.number(f"hugetlb.{size}.max_usage_in_bytes"),
            failcnt=files.number(f"hugetlb.{size}.failcnt"),
        )
        for size in sizes
        if size != "usage_in_bytes"
    }


def _unified(files: _Group) -> CgroupStats:
    """v2: one directory has all controllers; times there are in microseconds."""
    cpu, memory, events = files.table("cpu.stat"), files.table("memory.stat"), files.table("memory.events")
    return CgroupStats(
        cpu_stats=CpuStats(
            cpu_usage=CpuUsage(
                total_usage=cpu.get("usage_usec", 0) * 1000,
                usage_in_kernelmode=cpu.get("system_usec", 0) * 1000,
                usage_in_usermode=cpu.get("user_usec", 0) * 1000,
            ),
            throttling_data=ThrottlingData(
                periods=cpu.get("nr_periods", 0),
                throttled_periods=cpu.get("nr_throttled", 0),
                throttled_time=cpu.get("throttled_usec", 0) * 1000,
            ),
        ),
        memory_stats=MemoryStats(
            cache=memory.get("file", 0),
            usage=MemoryData(
                usage=files.number("memory.current"),
                max_usage=files.number("memory.peak"),
                failcnt=events.get("max", 0),
                limit=files.number("memory.max"),
            ),
            swap_usage=MemoryData(
                usage=files.number("memory.swap.current"),
                max_usage=files.number("memory.swap.peak"),
                limit=files.number("memory.swap.max"),
            ),
            use_hierarchy=True,
            stats=memory,
        ),
        pids_stats=_pids(files),
        blkio_stats=_unified_io(files.text("io.stat")),
    )


def _unified_io(text: str) -> BlkioStats:
    """Parse lines of `8:0 rbytes=1 wbytes=2 rios=3 wios=4 ...`."""
    kinds: Mapping[str, tuple[str, str]] = {
        "rbytes": ("bytes", "Read"),
        "wbytes": ("bytes", "Write"),
        "rios": ("times", "Read"),
        "wios": ("times", "Write"),
    }
    found: dict[str, list[BlkioStatsEntry]] = {"bytes": [], "times": []}
    for line in text.splitlines():
        device, *pairs = line.split()
        major, _, minor = device.partition(":")
        for pair in pairs:
            name, _, value = pair.partition("=")
            if name in kinds:
                where, op = kinds[name]
                found[where].append(BlkioStatsEntry(int(major), int(minor), op, int(value)))
    return BlkioStats(io_service_bytes_recursive=tuple(found["bytes"]), io_serviced_recursive=tuple(found["times"]))
