"""The plain values that verbs carry: what to run, with which limits, and what came of it.

For everything that crosses from a handle to an actor; agents translate these into their own protocol.
Not for OCI documents: those are the kata agent's and the guest's own (`actors.schemas.oci`).
"""

from __future__ import annotations

import msgspec

__all__ = [
    "ContainerSpec",
    "ExitStatus",
    "MountSpec",
    "ProcessSpec",
    "ResourceSpec",
    "SandboxSpec",
    "Stopped",
    "TerminalSize",
]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class TerminalSize(msgspec.Struct, frozen=True):
    """A terminal's size in character cells, each 1 to 65535 (the kernel's `struct winsize`)."""

    rows: int
    columns: int


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One process to run in a container."""

    # argv; the first is looked up in the container's PATH
    args: tuple[str, ...]
    # NAME -> value; PATH is added when missing
    env: dict[str, str] = {}
    # absolute; a missing one is an error, it is not created
    cwd: str = "/"
    # "", "uid", "uid:gid", "name" or "name:group"; names are resolved against the container's own passwd
    user: str = ""
    # with a terminal stderr is the terminal as well, and only stdout is read
    tty: bool = False
    size: TerminalSize | None = None


class ResourceSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Limits of one container (OCI LinuxResources).

    None leaves a create the kernel's default and an update what is there; -1 is no limit.
    """

    memory_bytes: int | None = None
    # what the kernel takes back to when memory is short
    memory_reservation_bytes: int | None = None
    # memory and swap together
    memory_swap_bytes: int | None = None
    pids: int | None = None
    # CPU time per period, both in microseconds
    cpu_quota_us: int | None = None
    cpu_period_us: int | None = None
    cpu_shares: int | None = None
    # which processors and memory nodes, as the kernel writes lists: "0-2,4"
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None


class MountSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One bind mount of a host directory or file into a container."""

    source: str
    destination: str
    readonly: bool = True


class ContainerSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One container to create."""

    process: ProcessSpec
    # busybox, dir:/path, oci:/path[:tag] or docker-archive:/path[:reference]: what the image store knows
    image: str = "busybox"
    # False: writes go to a layer that ends with the container
    readonly: bool = False
    resources: ResourceSpec = ResourceSpec()
    mounts: tuple[MountSpec, ...] = ()


class SandboxSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sandbox to create."""

    # at most 64 bytes reach the kernel; empty means the sandbox's id
    hostname: str = ""


class ExitStatus(msgspec.Struct, frozen=True):
    """How a process ended: its exit code, or 128 + N when signal N killed it."""

    code: int


class Stopped(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the init of a container that was stopped ended: as in an ExitStatus.

    `code` is None where it has ended and nobody can tell how: after `signal`, of which its agent says the same as of exit
    code 0.
    """

    code: int | None
    signal: int | None = None
