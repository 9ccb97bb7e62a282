"""What real Kata agents do, and runtimes count on, beyond single calls: one body for every engine and dialect of our guest.

Seen alive on kata-agent 4.1.0 and on Kata 1.x's. Not for the calls themselves (`rpc_body`).
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio
from msgspec import structs

from actors.agents.kata.spec import oci_process
from actors.errors import AlreadyExists, InvalidArgument, NotFound, Unsupported
from actors.schemas import agent as api
from actors.schemas import oci
from actors.wire.spec import ProcessSpec
from tests.support.engine_fields import given
from tests.support.rpc_body import TERMINATION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.rpc_body import Stage

__all__ = ["as_real_agents_do", "settings_of_a_sandbox", "words_through_a_mount"]

LONG = "x" * 100
DEAF = "trap '' TERM; echo up; while :; do sleep 0.1; done"
POLITE = "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done"


async def as_real_agents_do(stage: Stage) -> None:
    """On a guest without a sandbox."""
    # a stock runtime's sandbox may have no name
    await stage.client.call(api.CreateSandboxRequest(sandbox_id=""))
    await _a_polite_end(stage)
    await _ids(stage)
    await _nothing_dropped(stage)


async def _signal(stage: Stage, container: str, process: str, signum: int) -> None:
    await stage.client.call(api.SignalProcessRequest(container_id=container, exec_id=process, signal=signum))


async def _code(stage: Stage, container: str, process: str = "") -> int:
    request = api.WaitProcessRequest(container_id=container, exec_id=process or container)
    with trio.fail_after(30):
        return (await stage.client.call(request)).status


async def _read(stage: Stage, container: str, process: str, size: int = 100) -> bytes:
    request = api.ReadStdoutRequest(container_id=container, exec_id=process, len=size)
    with trio.fail_after(30):
        return (await stage.client.call(request)).data


async def _removed(stage: Stage, *containers: str) -> None:
    for name in containers:
        await stage.client.call(api.RemoveContainerRequest(container_id=name))


async def _a_polite_end(stage: Stage) -> None:
    for exec_id in ("", "idle"):
        await stage.running("idle", "sleep", "1000")
        await _signal(stage, "idle", exec_id, signal.SIGTERM)
        assert await _code(stage, "idle") == 137
        await _removed(stage, "idle")
    # not started: whatever the init is by then, it has no handler of its own
    spec = stage.spec("sh", "-c", POLITE)
    await stage.client.call(api.CreateContainerRequest(container_id="made", exec_id="made", OCI=spec))
    await _signal(stage, "made", "", signal.SIGTERM)
    assert await _code(stage, "made") == 137
    await stage.running("polite", "sh", "-c", POLITE)
    await stage.running("deaf", "sh", "-c", DEAF)
    for name in ("polite", "deaf"):
        assert await _read(stage, name, name) == b"up\n"
        await _signal(stage, name, "", signal.SIGTERM)
    assert await _code(stage, "polite") == 3
    # an exec is no init
    process = oci_process(ProcessSpec(args=("sleep", "1000")))
    await stage.client.call(api.ExecProcessRequest(container_id="deaf", exec_id="job", process=process))
    await _signal(stage, "deaf", "job", signal.SIGTERM)
    assert await _code(stage, "deaf", "job") == 143
    assert await stage.said("deaf", "echo", "on") == "on\n"
    await _removed(stage, "made", "polite", "deaf")


async def _ids(stage: Stage) -> None:
    async def execute(name: str, *args: str) -> None:
        process = oci_process(ProcessSpec(args=args))
        await stage.client.call(api.ExecProcessRequest(container_id=LONG, exec_id=name, process=process))

    await stage.running(LONG, "sleep", "1000")
    assert await stage.said(LONG, "echo", "on") == "on\n"
    job = "j" * 100
    await execute(job, "sh", "-c", "echo first; exit 1")
    # ended or not: nobody has waited for it
    with pytest.raises(AlreadyExists):
        await execute(job, "true")
    assert await _code(stage, LONG, job) == 1
    assert await _code(stage, LONG, job) == 1, "told again, and its output is there"
    assert await _read(stage, LONG, job, 0) == b"", "who asks for nothing has it at once"
    assert await _read(stage, LONG, job) == b"first\n"
    await execute(job, "sh", "-c", "read x; echo second; exit 2")
    assert await _read(stage, LONG, job, 0) == b"", "also while there is nothing to read"
    with pytest.raises(AlreadyExists):
        await execute(job, "true")
    await stage.client.call(api.WriteStreamRequest(container_id=LONG, exec_id=job, data=b"\n"))
    assert await _read(stage, LONG, job) == b"second\n"
    assert await _code(stage, LONG, job) == 2
    # the init's id is never free
    await _signal(stage, LONG, "", signal.SIGKILL)
    assert await _code(stage, LONG) == 137
    await _removed(stage, LONG)
    with pytest.raises(InvalidArgument):
        await stage.running("x" * 129, "true")
    with pytest.raises(NotFound):
        await _code(stage, LONG, job)


async def _nothing_dropped(stage: Stage) -> None:
    """Each of these was answered ok once."""
    refused: Mapping[str, object] = {
        "hooks": oci.Hooks(poststop=(oci.Hook(path="/bin/true"),)),
        "process.apparmorProfile": "x",
        "process.selinuxLabel": "x",
        "linux.intelRdt": oci.LinuxIntelRdt(l3_cache_schema="L3:0=f"),
        "linux.uidMappings": (oci.LinuxIDMapping(host_id=1, container_id=0, size=1),),
        "linux.gidMappings": (oci.LinuxIDMapping(host_id=1, container_id=0, size=1),),
        "linux.mountLabel": "x",
        "linux.sysctl": {"kernel.panic": "1"},
    }
    for field, value in refused.items():
        spec = given(stage.spec("true"), field, value)
        with pytest.raises(Unsupported) as caught:
            await stage.client.call(api.CreateContainerRequest(container_id="odd", exec_id="odd", OCI=spec))
        assert caught.value.details["field"] == field


async def settings_of_a_sandbox(stage: Stage) -> None:
    """As Kubernetes asks for them, without any namespace of the container's own. A wrong one leaves the others as they were."""
    wanted = {
        "net.ipv4.ip_forward": "1",
        "kernel.shmmax": "65536",
        "fs.mqueue.msg_max": "5",
        "net/ipv4/tcp_syncookies": "0",
    }
    files = ("net/ipv4/ip_forward", "kernel/shmmax", "fs/mqueue/msg_max", "net/ipv4/tcp_syncookies")
    read = ("cat", *(f"/proc/sys/{file}" for file in files))

    async def create(name: str, sysctl: dict[str, str]) -> None:
        spec = given(stage.spec("sleep", "1000"), "linux.sysctl", sysctl)
        await stage.client.call(api.CreateContainerRequest(container_id=name, exec_id=name, OCI=spec))

    await stage.running("plain", "sleep", "1000")
    before = await stage.said("plain", *read)
    for wrong, error in (
        ("net.ipv4.no_such", Unsupported),
        ("kernel.shmall", InvalidArgument),
        ("vm.swappiness", Unsupported),
    ):
        with pytest.raises(error) as caught:
            await create("set", wanted | {wrong: "x"})
        assert caught.value.details["field"] == "linux.sysctl"
        assert await stage.said("plain", *read) == before
    with pytest.raises(AlreadyExists):
        await create("plain", wanted)
    assert await stage.said("plain", *read) == before
    await create("set", wanted)
    assert (await stage.said("plain", *read)).split() == ["1", "65536", "5", "0"]
    await _removed(stage, "plain", "set")


async def words_through_a_mount(stage: Stage, place: Path) -> None:
    """A kubelet mounts a file of its own where a container says its last words, and asks for them when all has ended."""
    (place / "words").touch()
    (place / "below").mkdir()
    (place / "below" / "out").symlink_to("/etc/passwd")
    mounts = (
        oci.Mount(
            destination="/dev/termination-log", source=str(place / "words"), type="bind", options=("rbind", "rw")
        ),
        oci.Mount(destination="/given", source=str(place / "below"), type="bind", options=("rbind", "rw")),
    )
    script = "echo farewell >/dev/termination-log; echo deep >/given/words"
    for path, told in (
        ("/dev/termination-log", "farewell\n"),
        ("/given/words", "deep\n"),
        ("/given/out", ""),
        ("/given/../given/./words", "deep\n"),
        ("/nothing", ""),
    ):
        spec = stage.spec("sh", "-c", script)
        spec = structs.replace(spec, mounts=(*spec.mounts, *mounts), annotations={TERMINATION: path})
        await stage.client.call(api.CreateContainerRequest(container_id="one", exec_id="one", OCI=spec))
        await stage.client.call(api.StartContainerRequest(container_id="one"))
        assert await _code(stage, "one") == 0
        request = api.GetDiagnosticDataRequest(log_type="termination_log", container_id="one")
        assert (await stage.client.call(request)).data == told, path
        await _removed(stage, "one")
