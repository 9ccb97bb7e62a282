"""From a container's plain values to the OCI specification that a Kata agent accepts.

Written against what the Rust agent insists on (capabilities, namespaces and resources must be there; no pid
or network namespace, which the agent adds itself). Not for running anything, and not for host paths: the
guest moves the root to where it wants it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from actors.errors import InvalidArgument, KatrioError
from actors.host.users import ResolvedUser
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
from actors.wire.spec import DEFAULT_PATH, ResourceSpec

if TYPE_CHECKING:
    from collections.abc import Generator

    from actors.wire.spec import ContainerSpec, MountSpec, ProcessSpec

__all__ = ["named_as_asked", "oci_process", "oci_resources", "oci_spec", "string_user", "string_user_text"]


# OCI's names, by which a guest tells what is wrong, and ours, by which it was asked
_ASKED_AS = {
    "args": "process.args",
    "cwd": "process.cwd",
    "user": "process.user",
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


@contextmanager
def named_as_asked() -> Generator[None]:
    """Around a create, an exec and an update: an error names the field as its caller knows it."""
    try:
        yield
    except KatrioError as error:
        if (field := error.details.get("field")) in _ASKED_AS:
            error.details["field"] = _ASKED_AS[field]
        raise


def oci_spec(spec: ContainerSpec, rootfs: str, user: ResolvedUser | None = None) -> Spec:
    """The whole specification; `rootfs` is a directory in the guest's sight. For `user` see `oci_process`.

    Raises: InvalidArgument.
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
    """One process of it, as an exec carries it; `user` are the numbers of its user, when an agent looks no names up.

    Raises: InvalidArgument.
    """
    if not spec.cwd.startswith("/"):
        raise InvalidArgument(f"process.cwd {spec.cwd!r}: expected an absolute path", field="process.cwd")
    env = spec.env if "PATH" in spec.env else {"PATH": DEFAULT_PATH, **spec.env}
    for name in env:
        if not name or "=" in name or "\0" in name + env[name]:
            raise InvalidArgument(f"process.env {name!r}: expected a name without '=' or NUL", field="process.env")
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
    """The user by name, which the guest looks up in the container's own passwd; None when it is numeric."""
    if _numeric(spec.user) is not None:
        return None
    user, _, group = spec.user.partition(":")
    return StringUser(uid=user, gid=group)


def string_user_text(user: StringUser) -> str:
    """As a person writes it: what `string_user` read."""
    return f"{user.uid}:{user.gid}" if user.gid else user.uid


def _numeric(user: str) -> tuple[int, int] | None:
    """Uid and gid of `""`, `"uid"` and `"uid:gid"`; None when there is a name in it."""
    if not user:
        return 0, 0
    uid, _, gid = user.partition(":")
    if uid.isascii() and uid.isdigit() and (not gid or (gid.isascii() and gid.isdigit())):
        return int(uid), int(gid or "0")
    return None


def _bind(mount: MountSpec) -> Mount:
    for field, path in (("source", mount.source), ("destination", mount.destination)):
        if not path.startswith("/") or ".." in path.split("/"):
            raise InvalidArgument(
                f"mounts.{field} {path!r}: expected an absolute path without '..'", field=f"mounts.{field}"
            )
    options = ("rbind", "ro" if mount.readonly else "rw", "nosuid", "nodev")
    return Mount(destination=mount.destination, source=mount.source, type="bind", options=options)


def oci_resources(resources: ResourceSpec) -> LinuxResources:
    """Limits, for a create and for an update. On Kata's wire 0 is "leave it as it is": as a limit it is refused.

    Raises: InvalidArgument.
    """
    for name in msgspec.structs.fields(ResourceSpec):
        value = getattr(resources, name.name)
        if isinstance(value, int) and (value < -1 or value == 0):
            raise InvalidArgument(
                f"resources.{name.name} is {value}: expected more than 0, or -1 for no limit",
                field=f"resources.{name.name}",
            )
    # always sent, even when empty: without it the Rust agent leaves the process out of its cgroup
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
