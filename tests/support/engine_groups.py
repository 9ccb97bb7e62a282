"""The cases of the engine port about what is counted, listed and limited; see `engine_body` for the others."""

from __future__ import annotations

import pytest
import trio

from actors.errors import InvalidArgument, KatrioError, ResourceExhausted, Unsupported
from actors.node.cgroups import container_group, read_layout
from actors.schemas.oci import LinuxCPU, LinuxMemory, LinuxPids, LinuxResources
from tests.support.engine_cases import case
from tests.support.rooms import Room, read_until

__all__: list[str] = []

MIB = 1024 * 1024


def group_file(room: Room, container: str, controller: str, name: str) -> str:
    """What the kernel says, not the engine."""
    hierarchy = read_layout().controller(controller)
    assert hierarchy is not None
    return (hierarchy.directory(container_group(room.sandbox, container)) / name).read_text().strip()


# lists


@case()
async def lists_of_processes(room: Room) -> None:
    await room.started("c1", "sh", "-c", "sleep 987 & sleep 987 & wait")
    await room.idle("c2")
    pids = await room.pids("c1", 3)
    assert list(pids) == sorted(pids)
    assert not set(pids) & set(await room.engine.list_pids("c2"))
    header, *rows = (await room.engine.list_table("c1", ())).splitlines()
    assert header.split()[:3] == ["UID", "PID", "PPID"], "-ef by default"
    assert sorted(int(row.split()[1]) for row in rows) == list(pids)
    assert sum("sleep 987" in row for row in rows) >= 2
    header, *rows = (await room.engine.list_table("c1", ("-A", "-o", "comm,pid"))).splitlines()
    assert header.split() == ["COMMAND", "PID"]
    assert len(rows) == 3
    for arguments in (("-A", "-o", "comm"), ("--no-such-option",), ("a\0b",), ("-e",) * 100):
        with pytest.raises(InvalidArgument) as error:
            await room.engine.list_table("c1", arguments)
        assert error.value.details["field"] == "args"
    await room.remove("c1", "c2")


# control groups


@case("groups", "kernel")
async def a_live_update_is_seen_in_the_group(room: Room) -> None:
    limited = LinuxResources(memory=LinuxMemory(limit=32 * MIB), pids=LinuxPids(limit=30))
    await room.started("c1", "sleep", "1000", resources=limited)
    assert group_file(room, "c1", "memory", "memory.limit_in_bytes") == str(32 * MIB)
    assert group_file(room, "c1", "pids", "pids.max") == "30"
    cpu = LinuxCPU(quota=25_000, period=50_000, shares=512)
    for limit in (64 * MIB, 16 * MIB, 128 * MIB):
        # with and without swap the pair must go up and down, whatever the order that the kernel wants
        await room.engine.update("c1", LinuxResources(memory=LinuxMemory(limit=limit, swap=limit), cpu=cpu))
        assert group_file(room, "c1", "memory", "memory.limit_in_bytes") == str(limit)
        assert group_file(room, "c1", "memory", "memory.memsw.limit_in_bytes") == str(limit)
    assert group_file(room, "c1", "cpu", "cpu.cfs_quota_us") == "25000"
    assert group_file(room, "c1", "cpu", "cpu.cfs_period_us") == "50000"
    assert group_file(room, "c1", "cpu", "cpu.shares") == "512"
    assert group_file(room, "c1", "pids", "pids.max") == "30", "what is not named stays"
    await room.engine.update("c1", LinuxResources(pids=LinuxPids(limit=-1)))
    assert group_file(room, "c1", "pids", "pids.max") == "max"
    await room.remove("c1")


@case("groups", "kernel")
async def an_update_is_done_as_a_whole_or_not_at_all(room: Room) -> None:
    await room.started("c1", "sleep", "1000", resources=LinuxResources(pids=LinuxPids(limit=30)))
    pids = LinuxPids(limit=20)
    for resources, kind, field in (
        (LinuxResources(pids=pids, memory=LinuxMemory(kernel=1)), Unsupported, "memory.kernel"),
        (LinuxResources(pids=pids, cpu=LinuxCPU(realtime_runtime=1)), Unsupported, "cpu.realtimeRuntime"),
        (LinuxResources(pids=pids, cpu=LinuxCPU(cpus="777")), InvalidArgument, "cpu.cpus"),
        (LinuxResources(pids=pids, memory=LinuxMemory(limit=-7)), InvalidArgument, "memory.limit"),
    ):
        with pytest.raises(kind) as error:
            await room.engine.update("c1", resources)
        assert error.value.details["field"] == field
        assert group_file(room, "c1", "pids", "pids.max") == "30"
    await room.engine.update("c1", LinuxResources())
    await room.remove("c1")


@case("groups")
async def counts_of_the_group(room: Room) -> None:
    limits = LinuxResources(memory=LinuxMemory(limit=64 * MIB), pids=LinuxPids(limit=9))
    await room.started("c1", "sleep", "1000", resources=limits)
    before = await room.engine.stats("c1")
    await room.exec("c1", "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
    after = await room.engine.stats("c1")
    assert before.cpu_stats is not None
    assert before.cpu_stats.cpu_usage is not None
    assert after.cpu_stats is not None
    assert after.cpu_stats.cpu_usage is not None
    grown = after.cpu_stats.cpu_usage.total_usage - before.cpu_stats.cpu_usage.total_usage
    assert grown > 1_000_000, f"{grown} ns"
    assert after.memory_stats is not None
    assert after.memory_stats.usage is not None
    assert after.memory_stats.usage.limit == 64 * MIB
    assert 0 < after.memory_stats.usage.usage <= after.memory_stats.usage.max_usage <= 64 * MIB
    assert after.pids_stats is not None
    assert after.pids_stats.limit == 9
    assert after.pids_stats.current >= 1
    await room.remove("c1")


@case("groups")
async def the_limit_of_processes_holds(room: Room) -> None:
    await room.started("c1", "sleep", "1000", resources=LinuxResources(pids=LinuxPids(limit=30)))
    process = await room.engine.exec("c1", room.process("sh", "-c", "for i in $(seq 40); do sleep 100 & done; true"))
    assert process.stderr is not None
    assert await read_until(process.stderr, b"can't fork")
    await room.remove("c1")


@case("groups")
async def an_exec_into_a_full_container_names_its_limit(room: Room) -> None:
    script = "sleep 1000 & sleep 1000 & sleep 1000 & wait"
    await room.started("c1", "sh", "-c", script, resources=LinuxResources(pids=LinuxPids(limit=4)))
    await room.pids("c1", 4)
    for tty in (False, True):
        with pytest.raises(ResourceExhausted) as error:
            await room.engine.exec("c1", room.process("true", tty=tty))
        assert error.value.details == {"field": "pids.limit", "limit": 4}
    await room.engine.update("c1", LinuxResources(pids=LinuxPids(limit=30)))
    assert (await room.exec("c1", "true")).code == 0
    await room.remove("c1")


@case("groups")
async def a_container_that_a_runtime_barely_fits_into_runs_or_names_its_limit(room: Room) -> None:
    await room.started("c1", "sleep", "1000", resources=LinuxResources(pids=LinuxPids(limit=2)))
    # a runtime's own threads may be in the group before the program is: how many of them is chance
    refusal: KatrioError | None = None
    try:
        assert (await room.exec("c1", "true")).code == 0
    except KatrioError as error:
        refusal = error
    assert refusal is None or refusal.details == {"field": "pids.limit", "limit": 2}, refusal
    await room.remove("c1")


@case("groups")
async def a_kill_for_lack_of_memory_is_told(room: Room) -> None:
    limits = LinuxResources(memory=LinuxMemory(limit=16 * MIB))
    await room.idle("calm")
    lives = await room.started("lives", "sh", "-c", "tail /dev/zero; echo went on; sleep 1000", resources=limits)
    with trio.fail_after(20):
        assert await room.engine.next_oom() == "lives"
    assert await read_until(lives.stdout, b"went on\n"), "its init lives: an event, not an exit"
    dies = await room.started("dies", "tail", "/dev/zero", resources=limits)
    with trio.move_on_after(0.01):
        raise AssertionError(f"told twice, or lost by a cancel: {await room.engine.next_oom()}")
    with trio.fail_after(20):
        assert (await dies.wait()).code == 137
        assert await room.engine.next_oom() == "dies"
    # the removal of a group wakes the same notice, and is no kill
    await room.remove("lives", "dies", "calm")
    with trio.move_on_after(0.3):
        raise AssertionError(f"told of a removal: {await room.engine.next_oom()}")


@case("groups")
async def an_update_is_seen_in_the_counts(room: Room) -> None:
    await room.started("c1", "sleep", "1000", resources=LinuxResources(pids=LinuxPids(limit=30)))
    await room.engine.update("c1", LinuxResources(memory=LinuxMemory(limit=32 * MIB), pids=LinuxPids(limit=20)))
    found = await room.engine.stats("c1")
    assert found.memory_stats is not None
    assert found.memory_stats.usage is not None
    assert found.memory_stats.usage.limit == 32 * MIB
    assert found.pids_stats is not None
    assert found.pids_stats.limit == 20
    with pytest.raises(Unsupported) as error:
        await room.engine.update("c1", LinuxResources(pids=LinuxPids(limit=10), memory=LinuxMemory(kernel=1)))
    assert error.value.details["field"] == "memory.kernel"
    found = await room.engine.stats("c1")
    assert found.pids_stats is not None
    assert found.pids_stats.limit == 20, "nothing was applied"
    await room.remove("c1")


@case("no groups")
async def without_groups_nothing_is_made_up(room: Room) -> None:
    await room.idle("c1")
    with pytest.raises(Unsupported):
        await room.engine.stats("c1")
    for resources, field in (
        (LinuxResources(memory=LinuxMemory(limit=MIB)), "memory.limit"),
        (LinuxResources(pids=LinuxPids(limit=10)), "pids.limit"),
        (LinuxResources(cpu=LinuxCPU(quota=10_000)), "cpu.quota"),
    ):
        with pytest.raises(Unsupported) as error:
            await room.engine.update("c1", resources)
        assert error.value.details["field"] == field
        with pytest.raises(Unsupported) as error:
            await room.engine.create("c2", room.spec(room.process("true"), resources))
        assert error.value.details["field"] == field
    # no limit is what they have
    await room.engine.update("c1", LinuxResources(pids=LinuxPids(limit=-1), memory=LinuxMemory(limit=-1)))
    await room.engine.update("c1", LinuxResources())
    await room.remove("c1")


@case("groups")
async def an_exec_after_the_end_is_not_found(room: Room) -> None:
    process = await room.started("c1", "true")
    await process.wait()
    with pytest.raises(KatrioError) as error:
        await room.exec("c1", "true")
    assert error.value.code == "not_found"
    await room.remove("c1")
