"""Counters, limits and tables of control groups without a kernel: files that stand in for v1 and for v2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from actors.errors import InvalidArgument, NotFound, Unsupported
from actors.guest.engines.counters import read_counters
from actors.guest.engines.oom import OomWatch
from actors.guest.engines.pstable import rows_of
from actors.guest.engines.resources import apply_resources, plan_resources
from actors.node.cgroups import CgroupLayout, Hierarchy
from actors.schemas.oci import (
    LinuxBlockIO,
    LinuxCPU,
    LinuxDeviceCgroup,
    LinuxMemory,
    LinuxNetwork,
    LinuxPids,
    LinuxResources,
    LinuxThrottleDevice,
)
from actors.schemas.stats import BlkioStatsEntry

if TYPE_CHECKING:
    from pathlib import Path

GROUP = "/katrio/box/c1"


def layout_v2(root: Path, **files: str) -> CgroupLayout:
    """A v2 tree with one group; `__` in a name is a dot."""
    directory = root / GROUP.lstrip("/")
    directory.mkdir(parents=True)
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)
    return CgroupLayout((Hierarchy(root, 2),))


def test_counters_of_v2(tmp_path: Path) -> None:
    layout = layout_v2(
        tmp_path,
        cpu__stat="usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_periods 9\nnr_throttled 2\nthrottled_usec 7\n",
        memory__current="4096\n",
        memory__peak="8192\n",
        memory__max="max\n",
        memory__stat="file 1024\nanon 3072\n",
        memory__events="low 0\nmax 3\noom_kill 1\n",
        pids__current="4\n",
        pids__max="max\n",
        io__stat="8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n",
    )
    found = read_counters(layout, GROUP)
    assert found is not None
    assert found.cpu_stats is not None
    assert found.cpu_stats.cpu_usage is not None
    assert found.cpu_stats.cpu_usage.total_usage == 1_500_000
    assert found.cpu_stats.throttling_data is not None
    assert found.cpu_stats.throttling_data.throttled_time == 7000
    assert found.memory_stats is not None
    assert found.memory_stats.usage is not None
    assert (found.memory_stats.usage.usage, found.memory_stats.usage.limit) == (4096, 2**64 - 1)
    assert (found.memory_stats.cache, found.memory_stats.usage.failcnt) == (1024, 3)
    assert found.pids_stats is not None
    assert (found.pids_stats.current, found.pids_stats.limit) == (4, 0)
    assert found.blkio_stats is not None
    assert found.blkio_stats.io_service_bytes_recursive == (
        BlkioStatsEntry(8, 0, "Read", 10),
        BlkioStatsEntry(8, 0, "Write", 20),
    )


def test_no_group_has_no_counters(tmp_path: Path) -> None:
    assert read_counters(layout_v2(tmp_path), "/katrio/box/other") is None


def test_limits_of_v2(tmp_path: Path) -> None:
    layout = layout_v2(
        tmp_path, memory__max="max", memory__swap__max="max", cpu__max="max 100000", cpu__weight="100", pids__max="max"
    )
    memory = LinuxMemory(limit=1000, swap=1500)
    apply_resources(
        layout,
        GROUP,
        LinuxResources(memory=memory, cpu=LinuxCPU(quota=5000, shares=1024), pids=LinuxPids(limit=-1)),
    )
    directory = tmp_path / GROUP.lstrip("/")
    texts = {path.name: path.read_text() for path in directory.iterdir()}
    # swap is counted apart from memory there, and weights have another scale
    expected = {
        "memory.max": "1000",
        "memory.swap.max": "500",
        "cpu.max": "5000 100000",
        "cpu.weight": "39",
        "pids.max": "max",
    }
    assert texts == expected
    with pytest.raises(NotFound):
        apply_resources(layout, "/katrio/box/gone", LinuxResources(pids=LinuxPids(limit=1)))
    (directory / "cpu.weight").unlink()
    with pytest.raises(Unsupported) as error:
        apply_resources(layout, GROUP, LinuxResources(pids=LinuxPids(limit=1), cpu=LinuxCPU(shares=2)))
    assert error.value.details["field"] == "cpu.shares"
    assert (directory / "pids.max").read_text() == "max"


@pytest.mark.parametrize(
    ("version", "resources", "field"),
    [
        (1, LinuxResources(devices=(LinuxDeviceCgroup(allow=True),)), "devices"),
        (1, LinuxResources(memory=LinuxMemory(kernel=1)), "memory.kernel"),
        (1, LinuxResources(cpu=LinuxCPU(realtime_period=1)), "cpu.realtimeRuntime"),
        (2, LinuxResources(memory=LinuxMemory(swappiness=1)), "memory.swappiness"),
        (2, LinuxResources(memory=LinuxMemory(disable_oom_killer=True)), "memory.disableOOMKiller"),
        (2, LinuxResources(memory=LinuxMemory(swap=1)), "memory.swap"),
        (2, LinuxResources(cpu=LinuxCPU(period=1)), "cpu.period"),
        (2, LinuxResources(network=LinuxNetwork(class_id=1)), "network"),
        (1, LinuxResources(block_io=LinuxBlockIO(leaf_weight=1)), "blockIO.weightDevice"),
    ],
)
def test_what_can_not_be_changed_is_named(version: int, resources: LinuxResources, field: str) -> None:
    with pytest.raises(Unsupported) as error:
        plan_resources(resources, version=version)
    assert error.value.details["field"] == field


@pytest.mark.parametrize(("version", "text"), [(1, "8:0 100"), (2, "8:0 rbps=100")])
def test_rates_of_devices(version: int, text: str) -> None:
    devices = (LinuxThrottleDevice(major=8, minor=0, rate=100),)
    (write,) = plan_resources(LinuxResources(block_io=LinuxBlockIO(throttle_read_bps_device=devices)), version=version)
    assert write.text == text


async def test_kills_of_v2_are_told_when_the_count_rises(tmp_path: Path) -> None:
    events = tmp_path / GROUP.lstrip("/") / "memory.events"
    watch = OomWatch(layout_v2(tmp_path, memory__events="oom_kill 0\n"))
    async with trio.open_nursery() as nursery:
        await nursery.start(watch.run)
        watch.watch("c1", GROUP)
        events.write_text("oom_kill 1\n")
        with trio.fail_after(5):
            assert await watch.next() == "c1"
        watch.forget("c1")
        nursery.cancel_scope.cancel()


TABLE = "  PID COMMAND\n    1 sh\n   11 sleep 1\n  111 ps\n"


def test_rows_of_a_table() -> None:
    assert rows_of(TABLE, (1, 111), ()) == "  PID COMMAND\n    1 sh\n  111 ps\n"
    assert rows_of("USER COMMAND PID\nme sh 7\n", (7,), ()) == "USER COMMAND PID\nme sh 7\n"
    assert rows_of("PID\n\n 5\nx\n", (5,), ()) == "PID\n 5\n"
    for table in ("", "COMMAND\nsh\n", "error: unknown option\n"):
        with pytest.raises(InvalidArgument):
            rows_of(table, (1,), ())
