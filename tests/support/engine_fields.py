"""Every field of an OCI specification, given to an engine: what its table says becomes of it, becomes of it.

Part of the one body of tests of the engine port (`engine_cases`). That an applied field has its effect is the others' to see.
"""

from __future__ import annotations

import os
import socket

import msgspec
import pytest
from msgspec import structs

from actors.errors import InvalidArgument, Unsupported
from actors.guest.engines.enforced import ROWS, Handling
from actors.schemas import oci
from tests.support.engine_cases import case
from tests.support.rooms import Room, outcome

__all__ = ["GIVEN", "PARTS", "given"]

# row -> a value that asks for something, and what is refused of a row that is applied in parts; of the others a plain container has one
GIVEN: dict[str, object] = {
    "process.rlimits": (oci.POSIXRlimit(type="RLIMIT_NOFILE", hard=64, soft=64),),
    "process.noNewPrivileges": True,
    "process.apparmorProfile": "docker-default",
    "process.oomScoreAdj": 500,
    "process.selinuxLabel": "system_u:system_r:container_t:s0",
    "process.capabilities": oci.LinuxCapabilities(bounding=("CAP_CHOWN",)),
    "root.readonly": True,
    "hostname": "another",
    "mounts": (oci.Mount(destination="/given", source="/", type="bind", options=("rbind", "ro")),),
    "hooks": oci.Hooks(prestart=(oci.Hook(path="/bin/true"),)),
    "annotations": {"a": "b"},
    "solaris": oci.Solaris(dummy="x"),
    "windows": oci.Windows(dummy="x"),
    "linux.uidMappings": (oci.LinuxIDMapping(host_id=0, container_id=0, size=1),),
    "linux.gidMappings": (oci.LinuxIDMapping(host_id=0, container_id=0, size=1),),
    "linux.sysctl": {"net.ipv4.ip_forward": "1"},
    "linux.cgroupsPath": "/elsewhere",
    "linux.namespaces": (oci.LinuxNamespace(type="user"),),
    "linux.devices": (oci.LinuxDevice(path="/dev/kt-given", type="c", major=1, minor=3, file_mode=0o666),),
    "linux.seccomp": oci.LinuxSeccomp(default_action="SCMP_ACT_ALLOW"),
    "linux.rootfsPropagation": "private",
    "linux.maskedPaths": ("/proc/keys",),
    "linux.readonlyPaths": ("/proc/sys",),
    "linux.mountLabel": "system_u:object_r:container_file_t:s0",
    "linux.intelRdt": oci.LinuxIntelRdt(l3_cache_schema="L3:0=f"),
}
# more of those that are refused in parts, and what is taken of them on every engine
PARTS: dict[str, tuple[object, ...]] = {
    "mounts": ((oci.Mount(destination="/etc/resolv.conf", source="/etc/hosts", type="bind"),),),
    "linux.namespaces": (
        (oci.LinuxNamespace(type="time"),),
        (oci.LinuxNamespace(type="network", path="/proc/1/ns/net"),),
    ),
}
TAKEN: dict[str, object] = {
    "mounts": (
        oci.Mount(destination="/proc", type="proc", source="proc"),
        oci.Mount(destination="/dev/shm", type="tmpfs", source="shm"),
        oci.Mount(destination="/tmp", type="tmpfs", source="tmpfs"),
    ),
    "linux.namespaces": tuple(oci.LinuxNamespace(type=kind) for kind in ("pid", "mount", "network", "ipc", "uts")),
}


def given(spec: oci.Spec, field: str, value: object) -> oci.Spec:
    """The same with one field set; `field` as in the table."""
    part, _, name = field.rpartition(".")
    if not part:
        return structs.replace(spec, **{_attribute(oci.Spec, name): value})
    inner: msgspec.Struct = getattr(spec, part)
    return structs.replace(spec, **{part: structs.replace(inner, **{_attribute(type(inner), name): value})})


def _attribute(kind: type[msgspec.Struct], name: str) -> str:
    return next(field.name for field in structs.fields(kind) if field.encode_name == name)


@case()
async def every_field_is_applied_or_refused_by_its_name(room: Room) -> None:
    for row in ROWS:
        deed = row.deed(room.engine.name)
        values = [GIVEN[row.field]] if row.field in GIVEN else []
        refused = values + list(PARTS.get(row.field, ())) if deed in (Handling.REFUSED, Handling.PARTLY) else []
        taken = [TAKEN[row.field]] if row.field in TAKEN else [] if refused else values
        for value in refused:
            with pytest.raises(Unsupported) as caught:
                await room.engine.create("c1", given(room.spec(room.process("true")), row.field, value))
            assert caught.value.details == {"field": row.field}
            assert row.field in caught.value.message
        for value in taken:
            process = await room.engine.create("c1", given(room.spec(room.process("true")), row.field, value))
            await room.engine.start("c1")
            assert (await outcome(process)).code == 0, row.field
            await room.remove("c1")


@case()
async def an_exec_s_fields_too(room: Room) -> None:
    await room.idle("c1")
    for row in ROWS:
        part, _, name = row.field.partition(".")
        if part != "process" or row.field not in GIVEN:
            continue
        process = structs.replace(room.process("true"), **{_attribute(oci.Process, name): GIVEN[row.field]})
        if row.deed(room.engine.name) is Handling.REFUSED:
            with pytest.raises(Unsupported) as caught:
                await room.engine.exec("c1", process)
            assert caught.value.details == {"field": row.field}
        else:
            assert (await room.exec_process("c1", process)).code == 0
    await room.remove("c1")


@case("isolation", "kernel")
async def no_annotation_is_an_order_to_a_runtime(room: Room) -> None:
    """crun would dial this socket, in the guest's sight and as its root, and send it a descriptor of the container's init."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as heard:
        heard.bind("heard")
        heard.listen(1)
        order = {"run.oci.pidfd_receiver": f"{os.getcwd()}/heard"}
        process = await room.engine.create("c1", structs.replace(room.spec(room.process("true")), annotations=order))
        await room.engine.start("c1")
        assert (await outcome(process)).code == 0
        await room.remove("c1")
        with pytest.raises(BlockingIOError):
            heard.accept()


@case("kernel")
async def a_score_for_want_of_memory(room: Room) -> None:
    await room.idle("c1")
    # an exec's is set while it runs already: see the engine
    process = structs.replace(room.process("sh", "-c", "sleep 0.3; cat /proc/self/oom_score_adj"), oom_score_adj=321)
    assert (await room.exec_process("c1", process)).stdout == b"321\n"
    await room.remove("c1")


@case("kernel")
async def limits_that_the_kernel_does_not_give(room: Room) -> None:
    await room.idle("c1")
    for soft, hard in ((2, 1), (2**40, 2**40)):
        limits = (oci.POSIXRlimit(type="RLIMIT_NOFILE", hard=hard, soft=soft),)
        with pytest.raises(InvalidArgument) as caught:
            await room.engine.exec("c1", room.process("true", rlimits=limits))
        assert caught.value.details == {"field": "process.rlimits"}
    await room.remove("c1")
