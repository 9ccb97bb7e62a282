"""What a guest tells of its containers and takes for them, over the whole path, on real containers."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from actors.api import open_embedded
from actors.errors import InvalidArgument, KatrioError, NotFound, PermissionDenied, ResourceExhausted, Unsupported
from actors.limits import DEFAULT_LIMITS, Limits
from actors.node.cgroups import container_group, read_layout
from actors.node.facts import choose_engine, read_facts
from actors.wire.spec import ContainerSpec, MountSpec, ProcessSpec, ResourceSpec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from actors.handles import ContainerHandle, SandboxHandle
    from actors.worlds.embedded import EmbeddedWorld

RUNTIME = choose_engine(read_facts())[0]
ENGINES = sorted({"processes", RUNTIME})
SLEEP = ProcessSpec(args=("sleep", "100"))
SHARED = "/run/kata-containers/shared/containers"
needs_groups = pytest.mark.skipif(RUNTIME == "processes", reason="no OCI runtime or no control groups here")


@asynccontextmanager
async def a_box(
    engine: str, tmp_path: Path, limits: Limits = DEFAULT_LIMITS
) -> AsyncGenerator[tuple[EmbeddedWorld, SandboxHandle]]:
    run_dir = tmp_path / "r"
    run_dir.mkdir(mode=0o700)
    with trio.fail_after(60):
        async with open_embedded(agent="kata", engine=engine, run_dir=run_dir, limits=limits) as world:
            box = await world.system.create_sandbox("box")
            await box.start()
            yield world, box


async def running(box: SandboxHandle, name: str, spec: ContainerSpec) -> ContainerHandle:
    container = await box.create_container(name, spec)
    await container.start()
    return container


async def output(container: ContainerHandle, name: str, *args: str) -> str:
    done = await (await container.exec(name, ProcessSpec(args=args))).collect()
    assert done.code == 0, done
    return done.stdout.decode()


@pytest.mark.parametrize("engine", ENGINES)
async def test_processes_are_listed_as_numbers_and_as_a_table(engine: str, tmp_path: Path) -> None:
    async with a_box(engine, tmp_path) as (_, box):
        one = await running(box, "one", ContainerSpec(process=SLEEP))
        other = await running(box, "other", ContainerSpec(process=SLEEP))
        (first,) = await one.list_processes()
        await one.exec("more", ProcessSpec(args=("sleep", "101")))
        pids = await one.list_processes()
        assert len(pids) == 2
        assert first in pids
        assert not set(pids) & set(await other.list_processes())
        header, *rows = (await one.process_table()).splitlines()
        assert header.split()[:3] == ["UID", "PID", "PPID"]
        assert sorted(int(row.split()[1]) for row in rows) == list(pids)
        assert any("sleep 101" in row for row in rows)
        (_, *words) = (await one.process_table("-eo", "pid,comm")).splitlines()
        assert {row.split()[1] for row in words} == {"sleep"}
        with pytest.raises(InvalidArgument):
            await one.process_table("--no-such-option")
        with pytest.raises(InvalidArgument, match="PID"):
            await one.process_table("-eo", "comm")


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_frozen_container_is_listed_as_well(engine: str, tmp_path: Path) -> None:
    async with a_box(engine, tmp_path) as (_, box):
        one = await running(box, "one", ContainerSpec(process=SLEEP))
        before = await one.list_processes()
        await one.pause()
        assert await one.list_processes() == before


@needs_groups
async def test_limits_change_while_it_runs_and_the_kernel_says_so(tmp_path: Path) -> None:
    async with a_box(RUNTIME, tmp_path) as (world, box):
        spec = ContainerSpec(process=SLEEP, resources=ResourceSpec(memory_bytes=64 << 20, pids=50))
        one = await running(box, "one", spec)
        before = await one.stats()
        assert before.memory is not None
        assert before.pids is not None
        assert (before.memory.usage.limit_bytes, before.pids.limit) == (64 << 20, 50)
        await one.update(ResourceSpec(memory_bytes=96 << 20, pids=20, cpu_quota_us=50_000, cpu_period_us=100_000))
        after = await one.stats()
        assert after.memory is not None
        assert after.pids is not None
        assert (after.memory.usage.limit_bytes, after.pids.limit) == (96 << 20, 20)
        # the control group itself, read by a process that is not the guest
        layout = read_layout()
        pids = layout.controller("pids")
        assert pids is not None
        group = container_group(world.guests.directory("box").path.name, "one")
        assert (pids.directory(group) / "pids.max").read_text() == "20\n"
        # what is not named stays
        await one.update(ResourceSpec(pids=30))
        kept = await one.stats()
        assert kept.memory is not None
        assert kept.memory.usage.limit_bytes == 96 << 20
        with pytest.raises(InvalidArgument, match="memory_bytes"):
            await one.update(ResourceSpec(memory_bytes=0))


@needs_groups
async def test_stats_count_what_is_used(tmp_path: Path) -> None:
    async with a_box(RUNTIME, tmp_path) as (_, box):
        one = await running(box, "one", ContainerSpec(process=SLEEP))
        before = await one.stats()
        await output(one, "burn", "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
        after = await one.stats()
        assert before.cpu is not None
        assert after.cpu is not None
        assert after.cpu.total_ns > before.cpu.total_ns > 0
        assert after.memory is not None
        assert after.memory.usage.bytes > 0
        assert after.pids is not None
        assert after.pids.current == 1


@needs_groups
async def test_a_kill_for_want_of_memory_is_told_and_counted(tmp_path: Path) -> None:
    hog = ProcessSpec(args=("sh", "-c", "x=a; while true; do x=$x$x; done"))
    async with a_box(RUNTIME, tmp_path) as (_, box):
        spec = ContainerSpec(process=hog, resources=ResourceSpec(memory_bytes=16 << 20, memory_swap_bytes=16 << 20))
        one = await box.create_container("one", spec)
        async with box.open_events() as events:
            await one.start()
            while (event := (await anext(events)).event).kind != "oom":
                pass
            assert event.source == "box/one"
        assert (await one.init.wait()).code == 137
        assert (await one.info()).oom_kills == 1


async def test_what_has_no_control_groups_says_so_and_counts_no_zeros(tmp_path: Path) -> None:
    async with a_box("processes", tmp_path) as (_, box):
        one = await running(box, "one", ContainerSpec(process=SLEEP))
        with pytest.raises(Unsupported):
            await one.stats()
        with pytest.raises(Unsupported):
            await one.update(ResourceSpec(pids=5))


@pytest.mark.parametrize("engine", ENGINES)
async def test_the_guest_describes_itself_and_refuses_what_is_the_machines(engine: str, tmp_path: Path) -> None:
    async with a_box(engine, tmp_path) as (_, box):
        details = await box.get_guest_details()
        assert details.agent_version.startswith("katrio ")
        assert f"katrio.engine={engine}" in details.features
        able = await box.capabilities()
        assert (able.block_devices, able.features) == (False, details.features)
        with pytest.raises(Unsupported, match="clock"):
            await box.set_guest_time(1)
        with pytest.raises(Unsupported, match="VM"):
            await box.online_cpu_mem(1)
        await box.reseed_random(os.urandom(64))


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_closed_connection_is_dialled_again(engine: str, tmp_path: Path) -> None:
    async with a_box(engine, tmp_path) as (_, box):
        one = await running(box, "one", ContainerSpec(process=SLEEP))
        await box.disconnect()
        await box.disconnect()
        # its containers' connections are their own
        await one.list_processes()
        assert (await box.check()).serving


@needs_groups
async def test_a_copied_file_is_seen_through_a_mount_and_leads_nowhere_else(tmp_path: Path) -> None:
    data = os.urandom(200_000)
    async with a_box(RUNTIME, tmp_path) as (_, box):
        await box.copy_file("conf/deep/data", data, mode=0o640, uid=3, gid=4)
        await box.copy_file(f"{SHARED}/conf/empty", b"")
        shared = MountSpec(source=f"{SHARED}/conf", destination="/conf", readonly=False)
        one = await running(box, "one", ContainerSpec(process=SLEEP, mounts=(shared,)))
        assert await output(one, "stat", "stat", "-c", "%a %u %g %s", "/conf/deep/data") == "640 3 4 200000\n"
        assert (await output(one, "names", "ls", "-A", "/conf/deep")) == "data\n", "nothing unfinished is left"
        await box.copy_file("conf/deep/data", b"new")
        assert await output(one, "cat", "cat", "/conf/deep/data") == "new"
        # a container may put a link where the next copy, or the next mount, would pass
        await output(one, "link", "sh", "-c", "ln -s / /conf/out; ln -s /etc/passwd /conf/file")
        with pytest.raises(PermissionDenied):
            await box.copy_file("conf/out/tmp/katrio-escape", b"x")
        for path in ("conf/out/etc", "conf/file"):
            mount = MountSpec(source=f"{SHARED}/{path}", destination="/x")
            with pytest.raises((PermissionDenied, NotFound)):
                await box.create_container("bad", ContainerSpec(process=SLEEP, mounts=(mount,)))
        # a link that is the name itself is replaced, not followed
        await box.copy_file("conf/file", b"mine")
        assert await output(one, "mine", "cat", "/conf/file") == "mine"
        for path in ("/etc/x", "/run/kata-containers/shared/containers/../x"):
            with pytest.raises(KatrioError) as caught:
                await box.copy_file(path, b"x")
            assert caught.value.code in ("permission_denied", "invalid_argument")


async def test_a_guest_keeps_to_the_limits_of_its_system(tmp_path: Path) -> None:
    async with a_box("processes", tmp_path, replace(DEFAULT_LIMITS, processes=2)) as (_, box):
        container = await running(box, "one", ContainerSpec(process=SLEEP))
        await container.exec("first", SLEEP)
        with pytest.raises(ResourceExhausted, match="2 processes run in it") as caught:
            await container.exec("second", SLEEP)
        assert caught.value.details["limit"] == 2


async def test_limits_that_no_guest_can_keep_to_are_refused_before_one_starts(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="limit processes is 0: expected 1 to 100000"):
        async with a_box("processes", tmp_path, replace(DEFAULT_LIMITS, processes=0)):
            pass
