"""What a client that is not ours may send a guest: values that a runtime or the kernel would take for something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from msgspec.structs import replace

from actors.agents.kata.client import KataClient
from actors.agents.kata.spec import oci_process, oci_spec
from actors.errors import InvalidArgument
from actors.schemas import agent as api
from actors.schemas.oci import (
    Box,
    Linux,
    LinuxCapabilities,
    LinuxCPU,
    LinuxDevice,
    LinuxDeviceCgroup,
    LinuxHugepageLimit,
    LinuxMemory,
    LinuxNamespace,
    LinuxResources,
    LinuxSeccomp,
    Mount,
    POSIXRlimit,
    Process,
    User,
)
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.conformance import open_simulated_kata

if TYPE_CHECKING:
    from trio.testing import MockClock

UNSET = 2**32 - 1
SLEEP = ProcessSpec(args=("sleep", "100"))
PLAIN = oci_process(SLEEP)
WRONG: dict[str, Process] = {
    "user.uid": replace(PLAIN, user=User(uid=UNSET, gid=0)),
    "user.gid": replace(PLAIN, user=User(uid=0, gid=UNSET)),
    "user.additionalGids[0]": replace(PLAIN, user=User(uid=0, gid=0, additional_gids=(UNSET,))),
    "user": replace(PLAIN, user=User(uid=0, gid=0, username=f"0:{UNSET}")),
    "user.username": replace(PLAIN, user=User(uid=1000, gid=1000, username="root")),
    "user.additionalGids": replace(PLAIN, user=User(uid=0, gid=0, additional_gids=tuple(range(65_537)))),
    "args[1]": replace(PLAIN, args=("sleep", "1\x000")),
    "env[0]": replace(PLAIN, env=("A=\0",)),
    "cwd": replace(PLAIN, cwd="/\0"),
    "consoleSize.width": replace(PLAIN, console_size=Box(height=24, width=65536)),
    "oomScoreAdj": replace(PLAIN, oom_score_adj=-1001),
    "rlimits[0].type": replace(PLAIN, rlimits=(POSIXRlimit(type="NOFILE", hard=1, soft=1),)),
    "capabilities.effective[1]": replace(PLAIN, capabilities=LinuxCapabilities(effective=("CAP_CHOWN", "CAP_CHOWN\0"))),
    "capabilities.ambient[0]": replace(PLAIN, capabilities=LinuxCapabilities(ambient=("CAP_NONSENSE",))),
}
DEVICE = LinuxDevice(path="/dev/zz", type="c", major=1, minor=3)
WRONG_LINUX: dict[str, Linux] = {
    "maskedPaths[0]": Linux(masked_paths=("/pr\0oc",)),
    "maskedPaths[1]": Linux(masked_paths=("/proc", "proc")),
    "readonlyPaths[0]": Linux(readonly_paths=("",)),
    "rootfsPropagation": Linux(rootfs_propagation="nope"),
    "namespaces[0].type": Linux(namespaces=(LinuxNamespace(type="nope"),)),
    "devices[0].path": Linux(devices=(replace(DEVICE, path="/dev/z\0z"),)),
    "devices[0].type": Linux(devices=(replace(DEVICE, type="x"),)),
    "devices[0].major": Linux(devices=(replace(DEVICE, major=2**63 - 1),)),
    "devices[1].minor": Linux(devices=(DEVICE, replace(DEVICE, minor=-1))),
    "seccomp.defaultAction": Linux(seccomp=LinuxSeccomp(default_action="nope")),
    "seccomp.architectures[0]": Linux(seccomp=LinuxSeccomp(default_action="SCMP_ACT_ALLOW", architectures=("nope",))),
}
WRONG_LIMITS: dict[str, LinuxResources] = {
    "devices[0].access": LinuxResources(devices=(LinuxDeviceCgroup(allow=True, access="rwx"),)),
    "devices[0].type": LinuxResources(devices=(LinuxDeviceCgroup(allow=True, type="x"),)),
    "cpu.shares": LinuxResources(cpu=LinuxCPU(shares=1)),
    "cpu.quota": LinuxResources(cpu=LinuxCPU(quota=-2)),
    "cpu.period": LinuxResources(cpu=LinuxCPU(period=999)),
    "cpu.cpus": LinuxResources(cpu=LinuxCPU(cpus="0\0")),
    "cpu.mems": LinuxResources(cpu=LinuxCPU(mems="0,")),
    "memory.limit": LinuxResources(memory=LinuxMemory(limit=-2)),
    "memory.swappiness": LinuxResources(memory=LinuxMemory(swappiness=101)),
    "hugepageLimits[0].pageSize": LinuxResources(hugepage_limits=(LinuxHugepageLimit(page_size="../2MB", limit=1),)),
}


WHO = {
    api.StringUser(): "uid=0(root) gid=0(root)",
    api.StringUser(uid="nobody"): "uid=65534(nobody) gid=65534(nogroup)",
    api.StringUser(gid="nogroup"): "uid=0(root) gid=65534(nogroup)",
    api.StringUser(uid="7", additionalGids=("nogroup", "8")): "uid=7 gid=0(root) groups=65534(nogroup),8",
    api.StringUser(uid="root:0"): "string_user.uid",
    api.StringUser(gid="0,0"): "string_user.gid",
    api.StringUser(additionalGids=("",)): "string_user.additionalGids[0]",
    api.StringUser(additionalGids=("0",) * 65_537): "string_user.additionalGids",
}


async def test_another_clients_values_are_refused_in_a_create_and_in_an_exec(autojump_clock: MockClock) -> None:
    async with open_simulated_kata() as target, trio.open_nursery() as nursery:
        link = target.link()
        await nursery.start(link.run)
        client = KataClient(link, timeout=60)
        await client.call(api.CreateSandboxRequest(hostname="box", sandbox_id="box"))
        spec = oci_spec(ContainerSpec(process=SLEEP), "/")
        await client.call(api.CreateContainerRequest(container_id="one", OCI=spec))
        await client.call(api.StartContainerRequest(container_id="one"))
        for field, process in WRONG.items():
            with pytest.raises(InvalidArgument) as caught:
                await client.call(api.ExecProcessRequest(container_id="one", exec_id="x1", process=process))
            assert caught.value.details["field"] == field
            # below the whole specification, but for what the engine finds
            wrong = replace(spec, process=process)
            with pytest.raises(InvalidArgument) as caught:
                await client.call(api.CreateContainerRequest(container_id="two", OCI=wrong))
            assert str(caught.value.details["field"]).removeprefix("process.") == field
        for field, linux in WRONG_LINUX.items():
            asked = api.CreateContainerRequest(container_id="two", OCI=replace(spec, linux=linux))
            with pytest.raises(InvalidArgument) as caught:
                await client.call(asked)
            assert caught.value.details["field"] == f"linux.{field}"
        for field, limits in WRONG_LIMITS.items():
            wrong = replace(spec, linux=Linux(resources=limits))
            with pytest.raises(InvalidArgument) as caught:
                await client.call(api.CreateContainerRequest(container_id="two", OCI=wrong))
            assert caught.value.details["field"] == f"linux.resources.{field}"
            with pytest.raises(InvalidArgument) as caught:
                await client.call(api.UpdateContainerRequest(container_id="one", resources=limits))
            assert caught.value.details["field"] == field
        wrong = replace(spec, mounts=(Mount(destination="/a\0", type="tmpfs"),))
        with pytest.raises(InvalidArgument) as caught:
            await client.call(api.CreateContainerRequest(container_id="two", OCI=wrong))
        assert caught.value.details["field"] == "mounts[0].destination"
        path = "/run/kata-containers/shared/containers/file"
        with pytest.raises(InvalidArgument) as caught:
            await client.call(api.CopyFileRequest(path=path, uid=-1))
        assert caught.value.details["field"] == "uid"
        for number in (65, 2**31 - 1, 2**31, UNSET):
            for exec_id in ("one", ""):
                with pytest.raises(InvalidArgument) as caught:
                    await client.call(api.SignalProcessRequest("one", exec_id, number))
                assert caught.value.details["field"] == "signal"
        # nothing is sent by it, as by kill(2) and by real agents
        await client.call(api.SignalProcessRequest("one", "one", 0))
        nursery.cancel_scope.cancel()


async def test_string_user_is_read_to_the_last_field(autojump_clock: MockClock) -> None:
    async with open_simulated_kata() as target, trio.open_nursery() as nursery:
        link = target.link()
        await nursery.start(link.run)
        client = KataClient(link, timeout=60)
        await client.call(api.CreateSandboxRequest(hostname="box", sandbox_id="box"))
        for number, (asked, expected) in enumerate(WHO.items()):
            spec = oci_spec(ContainerSpec(process=ProcessSpec(args=("id",))), "/")
            name = f"c{number}"
            asking = api.CreateContainerRequest(container_id=name, OCI=spec, string_user=asked)
            if expected.startswith("string_user"):
                with pytest.raises(InvalidArgument) as caught:
                    await client.call(asking)
                assert caught.value.details["field"] == expected
                continue
            await client.call(asking)
            await client.call(api.StartContainerRequest(container_id=name))
            said = await client.call(api.ReadStdoutRequest(container_id=name, exec_id=name, len=1000))
            assert said.data.decode().strip() == expected
        nursery.cancel_scope.cancel()
