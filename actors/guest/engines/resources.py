"""Limits changed while a container runs: from OCI resources to cgroup file writes, all or none.

For the OCI engine. A runtime's own update would be 100 times slower, and its saved state would not know of ours.
Limits at create are in `config.json`. A field that can't be applied is refused before any write.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from actors.errors import InvalidArgument, NotFound, Unsupported
from actors.node.cgroups import make_group, remove_group

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from actors.node.cgroups import CgroupLayout
    from actors.schemas.oci import LinuxBlockIO, LinuxCPU, LinuxMemory, LinuxResources

__all__ = ["Write", "apply_resources", "blame_resources", "plan_resources"]

# highest v1 cpu.shares, and v2 cpu.weight
_SHARES, _WEIGHT = (2, 262_144), (1, 10_000)
_DEFAULT_PERIOD = 100_000
# what runc and crun need in the container's cgroup during create; Docker's minimum is the same (bytes)
_LEAST_MEMORY = 6 * 1024 * 1024


class Write(NamedTuple):
    """One file of one controller; `field` is the OCI name of the field."""

    field: str
    controller: str
    file: str
    text: str


def plan_resources(resources: LinuxResources, *, version: int) -> list[Write]:
    """The writes, in order, for a hierarchy of this version; pure.

    Raises:
        Unsupported: a field that can't be changed while a container runs.
    """
    if resources.devices:
        raise _refused("devices", "rules on devices can't be changed while the container runs")
    writes = [
        *(_memory(resources.memory, version) if resources.memory else ()),
        *(_cpu(resources.cpu, version) if resources.cpu else ()),
        *(_block_io(resources.block_io, version) if resources.block_io else ()),
    ]
    if resources.pids is not None and resources.pids.limit != 0:
        writes.append(Write("pids.limit", "pids", "pids.max", _maximum(resources.pids.limit)))
    for page in resources.hugepage_limits:
        file = f"hugetlb.{page.page_size}.{'limit_in_bytes' if version == 1 else 'max'}"
        writes.append(Write("hugepageLimits", "hugetlb", file, str(page.limit)))
    if resources.network is not None:
        writes.extend(_network(resources, version))
    return writes


def _refused(field: str, reason: str) -> Unsupported:
    return Unsupported(f"resources.{field}: {reason}; leave it out", field=field)


def _maximum(number: int) -> str:
    return "max" if number < 0 else str(number)


def _memory(memory: LinuxMemory, version: int) -> Iterator[Write]:
    if memory.kernel:
        raise _refused("memory.kernel", "the kernel has no such limit any more")
    if version == 1:
        if memory.limit:
            yield Write("memory.limit", "memory", "memory.limit_in_bytes", str(memory.limit))
        if memory.swap:
            yield Write("memory.swap", "memory", "memory.memsw.limit_in_bytes", str(memory.swap))
        if memory.reservation:
            yield Write("memory.reservation", "memory", "memory.soft_limit_in_bytes", str(memory.reservation))
        if memory.kernel_tcp:
            yield Write("memory.kernelTCP", "memory", "memory.kmem.tcp.limit_in_bytes", str(memory.kernel_tcp))
        if memory.swappiness:
            yield Write("memory.swappiness", "memory", "memory.swappiness", str(memory.swappiness))
        if memory.disable_oom_killer:
            yield Write("memory.disableOOMKiller", "memory", "memory.oom_control", "1")
        return
    old = (
        ("kernelTCP", memory.kernel_tcp),
        ("swappiness", memory.swappiness),
        ("disableOOMKiller", memory.disable_oom_killer),
    )
    for name, value in old:
        if value:
            raise _refused(f"memory.{name}", "control groups v2 have no such setting")
    if memory.swap:
        # OCI counts memory and swap together, v2 swap alone
        if memory.swap > 0 and memory.limit <= 0:
            raise _refused("memory.swap", "with control groups v2 it needs memory.limit beside it")
        yield Write("memory.swap", "memory", "memory.swap.max", _maximum(min(memory.swap, memory.swap - memory.limit)))
    if memory.limit:
        yield Write("memory.limit", "memory", "memory.max", _maximum(memory.limit))
    if memory.reservation:
        yield Write("memory.reservation", "memory", "memory.low", _maximum(memory.reservation))


def _cpu(cpu: LinuxCPU, version: int) -> Iterator[Write]:
    if cpu.realtime_runtime or cpu.realtime_period:
        raise _refused("cpu.realtimeRuntime", "real-time scheduling needs a share of its own in every group above")
    if cpu.shares and version == 1:
        yield Write("cpu.shares", "cpu", "cpu.shares", str(cpu.shares))
    elif cpu.shares:
        low, high = _SHARES
        share = min(max(cpu.shares, low), high)
        weight = _WEIGHT[0] + (share - low) * (_WEIGHT[1] - _WEIGHT[0]) // (high - low)
        yield Write("cpu.shares", "cpu", "cpu.weight", str(weight))
    if version == 1:
        # the kernel checks their ratio after each write: see `apply_resources`
        if cpu.period:
            yield Write("cpu.period", "cpu", "cpu.cfs_period_us", str(cpu.period))
        if cpu.quota:
            yield Write("cpu.quota", "cpu", "cpu.cfs_quota_us", str(cpu.quota))
    elif cpu.quota or cpu.period:
        if not cpu.quota:
            raise _refused("cpu.period", "with control groups v2 it needs cpu.quota beside it")
        yield Write("cpu.quota", "cpu", "cpu.max", f"{_maximum(cpu.quota)} {cpu.period or _DEFAULT_PERIOD}")
    if cpu.cpus:
        yield Write("cpu.cpus", "cpuset", "cpuset.cpus", cpu.cpus)
    if cpu.mems:
        yield Write("cpu.mems", "cpuset", "cpuset.mems", cpu.mems)


def _block_io(io: LinuxBlockIO, version: int) -> Iterator[Write]:
    if io.leaf_weight or io.weight_device:
        raise _refused("blockIO.weightDevice", "no scheduler of this kernel has weights of that kind")
    if io.weight and version == 1:
        yield Write("blockIO.weight", "blkio", "blkio.bfq.weight", str(io.weight))
    elif io.weight:
        yield Write("blockIO.weight", "io", "io.bfq.weight", str(io.weight))
    kinds = (
        ("throttleReadBpsDevice", io.throttle_read_bps_device, "read_bps", "rbps"),
        ("throttleWriteBpsDevice", io.throttle_write_bps_device, "write_bps", "wbps"),
        ("throttleReadIOPSDevice", io.throttle_read_iops_device, "read_iops", "riops"),
        ("throttleWriteIOPSDevice", io.throttle_write_iops_device, "write_iops", "wiops"),
    )
    for field, devices, old, new in kinds:
        for device in devices:
            name = f"{device.major}:{device.minor}"
            if version == 1:
                yield Write(f"blockIO.{field}", "blkio", f"blkio.throttle.{old}_device", f"{name} {device.rate}")
            else:
                yield Write(f"blockIO.{field}", "io", "io.max", f"{name} {new}={device.rate}")


def _network(resources: LinuxResources, version: int) -> Iterator[Write]:
    network = resources.network
    if network is None or not (network.class_id or network.priorities):
        return
    if version == 2:
        raise _refused("network", "control groups v2 have no such setting")
    if network.class_id:
        yield Write("network.classID", "net_cls", "net_cls.classid", str(network.class_id))
    for entry in network.priorities:
        yield Write("network.priorities", "net_prio", "net_prio.ifpriomap", f"{entry.name} {entry.priority}")


def apply_resources(layout: CgroupLayout, group: str, resources: LinuxResources) -> None:
    """Perform the writes of `plan_resources`.

    Raises:
        Unsupported: a field for which this machine has no file; nothing was written.
        InvalidArgument: the kernel rejected a value; earlier writes were rolled back.
        NotFound: the cgroup no longer exists.
    """
    memory = layout.controller("memory") or layout.freezer
    pending: list[tuple[Write, Path]] = []
    for write in plan_resources(resources, version=2 if memory is None else memory.version):
        hierarchy = layout.controller(write.controller)
        path = None if hierarchy is None else hierarchy.directory(group) / write.file
        if path is not None and not path.parent.is_dir():
            raise NotFound(f"update of resources.{write.field}: control group {group} is gone")
        if path is None or not path.exists():
            raise _refused(write.field, f"this machine has no {write.file}")
        pending.append((write, path))
    _write_all(pending)


def blame_resources(layout: CgroupLayout, group: str, resources: LinuxResources) -> None:
    """After a failed create: whether its limits were the reason, tested on an empty cgroup.

    Runtimes report this each in their own way. Returns if the limits are not at fault.

    Raises: as `apply_resources`; InvalidArgument also for too little memory for a runtime to start in.
    """
    with suppress(OSError):
        make_group(layout, group)
    try:
        apply_resources(layout, group, resources)
    except NotFound:
        return
    finally:
        remove_group(layout, group)
    limit = resources.memory.limit if resources.memory else 0
    if 0 < limit < _LEAST_MEMORY:
        raise InvalidArgument(
            f"resources.memory.limit is {limit}: no container can be created within so few bytes", field="memory.limit"
        )


def _write_all(pending: list[tuple[Write, Path]]) -> None:
    """Some pairs (limit and limit with swap, period and quota) are only valid in one order, which depends on the current
    values: a rejected write is retried after the others; a round without progress is a failure."""
    done: list[tuple[Path, str]] = []
    while pending:
        refused: list[tuple[Write, Path, OSError]] = []
        for write, path in pending:
            try:
                before = path.read_text()
                path.write_text(write.text)
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    _take_back(done)
                    raise
                refused.append((write, path, error))
            else:
                done.append((path, before))
        if len(refused) == len(pending):
            _take_back(done)
            write, _, reason = refused[0]
            raise InvalidArgument(
                f"resources.{write.field} to {write.text!r}: the kernel refuses it ({reason.strerror})",
                field=write.field,
            )
        pending = [(write, path) for write, path, _ in refused]


def _take_back(done: list[tuple[Path, str]]) -> None:
    for path, before in reversed(done):
        # files with one line per device can't be restored in one write, only line by line
        for line in before.splitlines():
            with suppress(OSError):
                path.write_text(line)
