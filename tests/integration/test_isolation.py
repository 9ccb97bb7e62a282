"""What docs/isolation.md says of a default container, asked of a running one. Not for what limits do: `test_edges`."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from actors.api import open_system
from actors.node.facts import choose_engine, read_facts
from actors.schemas.defaults import CAPABILITIES
from actors.wire.spec import ContainerSpec, ProcessSpec, ResourceSpec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from actors.handles import ContainerHandle, SandboxHandle

pytestmark = pytest.mark.skipif(
    choose_engine(read_facts())[0] == "processes", reason="plain processes isolate nothing; needs root and runc"
)
# linux/capability.h
_BITS = {
    "CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_FSETID": 4, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7,
    "CAP_SETPCAP": 8, "CAP_NET_BIND_SERVICE": 10, "CAP_SYS_CHROOT": 18, "CAP_SETFCAP": 31,
}  # fmt: skip
NAMESPACES = ("pid", "mnt", "cgroup", "net", "ipc", "uts", "user")


@asynccontextmanager
async def a_box(tmp_path: Path) -> AsyncGenerator[SandboxHandle]:
    run_dir = tmp_path / "r"
    run_dir.mkdir(mode=0o700)
    with trio.fail_after(60):
        async with open_system(run_dir=run_dir) as system:
            box = await system.create_sandbox("box")
            await box.start()
            yield box


async def running(box: SandboxHandle, name: str, resources: ResourceSpec | None = None) -> ContainerHandle:
    spec = ContainerSpec(process=ProcessSpec(args=("sleep", "600")), resources=resources or ResourceSpec())
    container = await box.create_container(name, spec)
    await container.start()
    return container


async def said(container: ContainerHandle, name: str, script: str, user: str = "") -> str:
    process = await container.exec(name, ProcessSpec(args=("sh", "-c", script), user=user))
    return (await process.collect()).stdout.decode()


async def test_its_root_is_the_hosts_with_few_capabilities_and_no_filter(tmp_path: Path) -> None:
    mask = f"{sum(1 << _BITS[name] for name in CAPABILITIES):016x}"
    async with a_box(tmp_path) as box:
        one = await running(box, "one")
        status = dict(
            line.split(":\t", 1) for line in (await said(one, "status", "cat /proc/self/status")).splitlines()
        )
        assert [status[name] for name in ("CapEff", "CapPrm", "CapBnd")] == [mask] * 3
        assert [status[name] for name in ("CapInh", "CapAmb")] == ["0" * 16] * 2
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "0")
        assert (await said(one, "map", "cat /proc/self/uid_map")).split() == ["0", "0", str(2**32 - 1)]
        other = await said(one, "other", "grep -E '^Cap(Eff|Bnd)' /proc/self/status", user="1000:1000")
        assert other.split() == ["CapEff:", "0" * 16, "CapBnd:", mask]


async def test_which_namespaces_are_its_own_and_which_its_sandboxs(tmp_path: Path) -> None:
    look = f"for n in {' '.join(NAMESPACES)}; do readlink /proc/self/ns/$n; done"
    async with a_box(tmp_path) as box:
        one, two = [(await said(await running(box, name), "look", look)).split() for name in ("one", "two")]
        host = [os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES]
        differ = {name for name, here, there in zip(NAMESPACES, one, two, strict=True) if here != there}
        assert differ == {"pid", "mnt", "cgroup"}
        assert {name for name, here, there in zip(NAMESPACES, one, host, strict=True) if here == there} == {"user"}


async def test_nothing_but_the_loopback_and_no_limits(tmp_path: Path) -> None:
    async with a_box(tmp_path) as box:
        one = await running(box, "one")
        assert (await said(one, "net", "ls /sys/class/net")).split() == ["lo"]
        stats = await one.stats()
        assert stats.memory is not None
        assert stats.pids is not None
        assert stats.memory.usage.limit_bytes >= 2**62 or stats.memory.usage.limit_bytes == 0
        assert stats.pids.limit == 0


async def test_what_can_be_written_and_what_that_costs(tmp_path: Path) -> None:
    async with a_box(tmp_path) as box:
        one = await running(box, "one", ResourceSpec(memory_bytes=32 << 20))
        found = await said(
            one,
            "writes",
            "for f in /sys/x /proc/sys/kernel/hostname /written; do { echo x > $f; } 2>/dev/null && echo $f; done; "
            "mknod /dev/disk b 8 0 2>/dev/null && echo mknod; grep -c ' /proc/keys ' /proc/mounts; ls /dev | sort | tr '\\n' ' '",
        )
        written, hidden, devices = found.splitlines()
        assert (written, hidden) == ("/written", "1")
        names = {
            "null",
            "zero",
            "full",
            "random",
            "urandom",
            "tty",
            "ptmx",
            "pts",
            "shm",
            "fd",
            "stdin",
            "stdout",
            "stderr",
        }
        assert set(devices.split()) <= names | {"core", "mqueue", "console"}
        greedy = await one.exec("greedy", ProcessSpec(args=("sh", "-c", "head -c 100000000 /dev/zero > /big")))
        assert (await greedy.wait()).code == 137, "what it writes into its layer counts as its memory"
