"""Which field was wrong: it reaches the caller as `details["field"]`, from wherever it was found, over the whole path."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from actors.errors import InvalidArgument, NotFound, ResourceExhausted, Unsupported
from actors.limits import Limits
from actors.node.facts import choose_engine, read_facts
from actors.wire.spec import ContainerSpec, MountSpec, ProcessSpec, ResourceSpec
from tests.support.boxes import ENGINES, SLEEP, a_room, until

if TYPE_CHECKING:
    from pathlib import Path

# where one runtime works, each that is installed does
RUNTIMES = (
    [] if choose_engine(read_facts())[0] == "processes" else [name for name in ("crun", "runc") if shutil.which(name)]
)
WRONG = {
    "process.args": ProcessSpec(args=("no-such-program",)),
    "process.cwd": ProcessSpec(args=("true",), cwd="/no/such/directory"),
    "process.user": ProcessSpec(args=("true",), user="no-such-user"),
}


@pytest.mark.parametrize("engine", sorted({*ENGINES, *RUNTIMES}))
async def test_what_the_guest_finds_wrong_is_named_as_the_caller_knows_it(engine: str, tmp_path: Path) -> None:
    async with a_room(engine, tmp_path) as room:
        one = await room.running()
        for field, process in WRONG.items():
            if engine == "processes" and process.user:
                continue
            with pytest.raises(InvalidArgument) as caught:
                await one.exec("job", process)
            assert caught.value.details == {"field": field}
            with pytest.raises(InvalidArgument) as caught:
                await room.box.create_container("two", ContainerSpec(process=process))
            assert caught.value.details == {"field": field}
        with pytest.raises(InvalidArgument) as caught:
            await one.process_table("--no-such-option")
        assert caught.value.details == {"field": "args"}


@pytest.mark.parametrize("engine", RUNTIMES)
async def test_a_limit_that_the_kernel_refuses_is_named(engine: str, tmp_path: Path) -> None:
    async with a_room(engine, tmp_path) as room:
        one = await room.running()
        for resources, field in (
            (ResourceSpec(memory_bytes=1), "resources.memory_bytes"),
            (ResourceSpec(cpuset_cpus="777"), "resources.cpuset_cpus"),
            (ResourceSpec(memory_bytes=2**26, memory_swap_bytes=2**25), "resources.memory_swap_bytes"),
            (ResourceSpec(pids=0), "resources.pids"),
            (ResourceSpec(cpu_quota_us=500), "resources.cpu_quota_us"),
        ):
            with pytest.raises(InvalidArgument) as caught:
                await one.update(resources)
            assert caught.value.details == {"field": field}
            with pytest.raises(InvalidArgument) as caught:
                await room.box.create_container(
                    "two", ContainerSpec(process=ProcessSpec(args=SLEEP), resources=resources)
                )
            assert caught.value.details == {"field": field}
            assert "cpu.cpus" not in caught.value.message


@pytest.mark.parametrize("engine", sorted({*ENGINES, *RUNTIMES}))
async def test_a_uid_has_the_group_that_passwd_gives_it_and_minus_one_is_nobodys(engine: str, tmp_path: Path) -> None:
    async with a_room(engine, tmp_path) as room:
        one = await room.running()
        for user in ("4294967295", "0:4294967295"):
            with pytest.raises(InvalidArgument) as caught:
                await one.exec("job", ProcessSpec(args=("id",), user=user))
            assert caught.value.details == {"field": "process.user"}
        with pytest.raises(InvalidArgument) as caught:
            await one.exec("job", ProcessSpec(args=("echo", "a\0b")))
        assert caught.value.details == {"field": "process.args[1]"}
        if os.geteuid() != 0:
            return
        asked = {"name": "nobody", "number": "65534", "both": "65534:7", "unknown": "54321"}
        for name, user in asked.items():
            found = await (await one.exec(name, ProcessSpec(args=("id", "-g"), user=user))).collect()
            assert found.stdout == {"both": b"7\n", "unknown": b"0\n"}.get(name, b"65534\n")


async def test_plain_processes_refuse_what_they_can_not_do_by_the_callers_word(tmp_path: Path) -> None:
    async with a_room("processes", tmp_path) as room:
        sleep = ProcessSpec(args=SLEEP)
        for spec, field in (
            (ContainerSpec(process=sleep, readonly=True), "readonly"),
            (ContainerSpec(process=sleep, mounts=(MountSpec(source="/etc", destination="/given"),)), "mounts"),
        ):
            with pytest.raises(Unsupported) as caught:
                await room.box.create_container("two", spec)
            assert caught.value.details == {"field": field}


async def test_plain_processes_take_no_limit_and_say_which(tmp_path: Path) -> None:
    async with a_room("processes", tmp_path) as room:
        one = await room.running()
        for resources, field in (
            (ResourceSpec(memory_bytes=2**26), "resources.memory_bytes"),
            (ResourceSpec(pids=9), "resources.pids"),
            (ResourceSpec(cpu_quota_us=10_000), "resources.cpu_quota_us"),
            (ResourceSpec(cpuset_cpus="0"), "resources.cpuset_cpus"),
        ):
            for asking in (
                one.update(resources),
                room.box.create_container("two", ContainerSpec(process=ProcessSpec(args=SLEEP), resources=resources)),
            ):
                with pytest.raises(Unsupported) as caught:
                    await asking
                assert caught.value.details == {"field": field}


@pytest.mark.parametrize("engine", RUNTIMES)
async def test_an_exec_into_a_full_container_names_its_limit(engine: str, tmp_path: Path) -> None:
    async with a_room(engine, tmp_path) as room:
        spec = ContainerSpec(
            process=ProcessSpec(args=("sh", "-c", "sleep 100 & echo up; wait")), resources=ResourceSpec(pids=2)
        )
        one = await room.box.create_container("one", spec)
        await one.start()
        await until(one.init, b"up")
        with pytest.raises(ResourceExhausted) as caught:
            await one.exec("job", ProcessSpec(args=("true",)))
        assert caught.value.details == {"field": "resources.pids", "limit": 2}
        await one.update(ResourceSpec(pids=50))
        assert (await (await one.exec("job", ProcessSpec(args=("true",)))).collect()).code == 0


@pytest.mark.parametrize("engine", ENGINES)
async def test_ended_execs_make_room_for_new_ones_on_both_sides(engine: str, tmp_path: Path) -> None:
    async with a_room(engine, tmp_path, Limits(processes=4)) as room:
        one = await room.running()
        long = await one.exec("long", ProcessSpec(args=("sleep", "100")))
        for number in range(12):
            job = await one.exec(f"job-{number}", ProcessSpec(args=("sh", "-c", f"echo {number}; exit {number}")))
            done = await job.collect()
            assert (done.code, done.stdout) == (number, b"%d\n" % number)
        assert (await one.info()).children == ("long",)
        # the latest are kept, the first are forgotten
        assert (await one.process("job-11").wait()).code == 11
        with pytest.raises(NotFound):
            await one.process("job-0").wait()
        await long.signal(9)
        assert (await long.wait()).code == 137


@pytest.mark.parametrize(
    ("verb", "args", "field"),
    [
        ("exec", {"id": "job", "process": {"args": [1]}}, "process.args[0]"),
        ("exec", {"id": "job", "process": {"args": ["true"], "env": {"A": 2}}}, "process.env[...]"),
        ("exec", {"id": "job", "process": {}}, "process.args"),
        ("exec", {"id": "job"}, "process"),
        ("signal", {"signal": "nine"}, "signal"),
        ("signal", ["nine"], "args"),
    ],
)
async def test_arguments_of_another_shape_are_named(verb: str, args: Any, field: str, tmp_path: Path) -> None:
    async with a_room("processes", tmp_path) as room:
        await room.running()
        with pytest.raises(InvalidArgument) as caught:
            await room.world.system.client.ask("box/one", verb, args, dict, timeout=5)
        assert caught.value.details == {"field": field}
