"""Converts a container's plain values to the OCI specification that a Kata agent accepts.

Follows what the Rust agent requires (capabilities, namespaces and resources must be present; no pid
or network namespace, which the agent adds itself). Paths are the guest's: it moves the root to where
it wants it.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from actors.errors import KatrioError
from actors.node.users import ResolvedUser
from actors.schemas.agent import StringUser
from actors.schemas.defaults import CAPABILITIES, MASKED, MOUNTS, OCI_VERSION, READONLY
from actors.schemas.oci import (
    Box,
    Linux,
    LinuxCapabilities,
    LinuxCPU,
    LinuxMemory,
    LinuxNamespace,
    LinuxPids,
    LinuxResources,
    Mount,
    Process,
    Root,
    Spec,
    User,
)
from actors.wire.spec import DEFAULT_PATH

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from actors.wire.spec import ContainerSpec, MountSpec, ProcessSpec, ResourceSpec

__all__ = [
    "COPIED_AS",
    "INTERFACE_AS",
    "named_as_asked",
    "oci_process",
    "oci_resources",
    "oci_spec",
    "string_user",
]


# a guest's field names in errors -> the names in our own verbs, below each OCI type
_ASKED_AS = {
    "args": "process.args",
    "cwd": "process.cwd",
    "env": "process.env",
    "user": "process.user",
    "consoleSize": "process.size",
    "root.readonly": "readonly",
    "root": "image",
    "mounts": "mounts",
    "container_id": "id",
    "exec_id": "id",
    "memory.limit": "resources.memory_bytes",
    "memory.reservation": "resources.memory_reservation_bytes",
    "memory.swap": "resources.memory_swap_bytes",
    "cpu.quota": "resources.cpu_quota_us",
    "cpu.period": "resources.cpu_period_us",
    "cpu.shares": "resources.cpu_shares",
    "cpu.cpus": "resources.cpuset_cpus",
    "cpu.mems": "resources.cpuset_mems",
    "pids.limit": "resources.pids",
}


COPIED_AS = {"file_size": "size", "file_mode": "mode", "dir_mode": "directory_mode"} | {
    name: name for name in ("path", "data", "offset", "uid", "gid")
}
INTERFACE_AS = {name: f"interface.{name}" for name in ("addresses", "name", "mtu", "hardware_address")}
# prefixes of a process or resources in a request
_AROUND = re.compile(r"\A(OCI\.|linux\.|process\.|resources\.)+")


@contextmanager
def named_as_asked(whole: str, names: Mapping[str, str] = _ASKED_AS) -> Generator[None]:
    """Around a call: an error names the field as the caller knows it, or else `whole`, the argument.

    Field names of the encoder or the agent are not the verb's, and a program could not use them.
    """
    try:
        yield
    except KatrioError as error:
        if "field" in error.details:
            told = _AROUND.sub("", str(error.details["field"]))
            known = next(
                (own for name, own in names.items() if re.match(rf"{re.escape(name)}(?![A-Za-z_])", told)), whole
            )
            error.details["field"] = known
            error.message = error.message.replace(f"resources.{told}", known)
        raise


def oci_spec(spec: ContainerSpec, rootfs: str, user: ResolvedUser | None = None) -> Spec:
    """The whole specification, from validated values (`actors.wire.fields`).

    Args:
        rootfs: a directory path in the guest.
        user: see `oci_process`.
    """
    return Spec(
        version=OCI_VERSION,
        process=oci_process(spec.process, user),
        root=Root(path=rootfs, readonly=spec.readonly),
        mounts=(*MOUNTS, *(_bind(mount) for mount in spec.mounts)),
        linux=Linux(
            resources=oci_resources(spec.resources),
            namespaces=tuple(LinuxNamespace(type=kind) for kind in ("mount", "ipc", "uts")),
            masked_paths=MASKED,
            readonly_paths=READONLY,
        ),
    )


def oci_process(spec: ProcessSpec, user: ResolvedUser | None = None) -> Process:
    """One process, as an exec carries it; `user` has its numeric ids, for an agent that looks no names up."""
    env = spec.env if "PATH" in spec.env else {"PATH": DEFAULT_PATH, **spec.env}
    numbers = user or ResolvedUser(*(_numeric(spec.user) or (0, 0)))
    return Process(
        terminal=spec.tty,
        console_size=None if spec.size is None else Box(height=spec.size.rows, width=spec.size.columns),
        user=User(uid=numbers.uid, gid=numbers.gid, additional_gids=numbers.groups),
        args=spec.args,
        env=tuple(f"{name}={value}" for name, value in env.items()),
        cwd=spec.cwd,
        capabilities=LinuxCapabilities(bounding=CAPABILITIES, effective=CAPABILITIES, permitted=CAPABILITIES),
        no_new_privileges=True,
    )


def string_user(spec: ProcessSpec) -> StringUser | None:
    """The user for the guest to look up in the container's passwd and group: a name, or a uid without a group.

    None when there is nothing to look up.
    """
    if not spec.user or (":" in spec.user and _numeric(spec.user) is not None):
        return None
    user, _, group = spec.user.partition(":")
    return StringUser(uid=user, gid=group)


def _numeric(user: str) -> tuple[int, int] | None:
    """Uid and gid of `""`, `"uid"` and `"uid:gid"`; None if a name is in it."""
    if not user:
        return 0, 0
    uid, _, gid = user.partition(":")
    if uid.isascii() and uid.isdigit() and (not gid or (gid.isascii() and gid.isdigit())):
        return int(uid), int(gid or "0")
    return None


def _bind(mount: MountSpec) -> Mount:
    options = ("rbind", "ro" if mount.readonly else "rw", "nosuid", "nodev")
    return Mount(destination=mount.destination, source=mount.source, type="bind", options=options)


def oci_resources(resources: ResourceSpec) -> LinuxResources:
    """Limits, for create and update. On Kata's wire 0 means unchanged, which is never one of our limits."""
    # always sent, even if empty: without it the Rust agent leaves the process out of its cgroup
    return LinuxResources(
        memory=LinuxMemory(
            limit=resources.memory_bytes or 0,
            reservation=resources.memory_reservation_bytes or 0,
            swap=resources.memory_swap_bytes or 0,
        ),
        cpu=LinuxCPU(
            quota=resources.cpu_quota_us or 0,
            period=resources.cpu_period_us or 0,
            shares=resources.cpu_shares or 0,
            cpus=resources.cpuset_cpus or "",
            mems=resources.cpuset_mems or "",
        ),
        pids=None if resources.pids is None else LinuxPids(limit=resources.pids),
    )
