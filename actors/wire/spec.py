"""The plain values that verbs carry: what to run, with which limits, and the result.

Agents translate them to their own protocol. OCI documents belong to the kata agent and the guest
(`actors.schemas.oci`).
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from actors.wire.fields import (
    AbsolutePath,
    Arguments,
    CString,
    Environment,
    FullPath,
    Size,
    UserText,
    between,
    is_cpu_list,
    rule,
)

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


def _limit(least: int, most: int) -> msgspec.Meta:
    """The range of the kernel's own file, for update and create alike. 0 means "not given" on Kata's wire."""
    return rule(f"{least} to {most}, or -1 for no limit", lambda value: value == -1 or least <= value <= most)


_Bytes: TypeAlias = Annotated[int, _limit(1, 2**63 - 1)]
_Quota: TypeAlias = Annotated[int, _limit(1000, 2**44 - 1)]
_Tasks: TypeAlias = Annotated[int, _limit(1, 2**22)]
_Period: TypeAlias = Annotated[int, between(1000, 1_000_000)]
_Shares: TypeAlias = Annotated[int, between(2, 262_144)]
_CpuList: TypeAlias = Annotated[str, rule("a list as 0-2,4", is_cpu_list)]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class TerminalSize(msgspec.Struct, frozen=True):
    """A terminal's size in character cells, each 1 to 65535 (the kernel's `struct winsize`)."""

    rows: Size
    columns: Size


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One process to run in a container."""

    # argv; the first is looked up in the container's PATH
    args: Arguments
    # NAME -> value; PATH is added when missing
    env: Environment = {}
    # absolute; a missing one is an error, it is not created
    cwd: FullPath = "/"
    # "", "uid", "uid:gid", "name" or "name:group"; looked up in the container's own passwd and group, a uid without a gid
    # as well: what passwd does not know has the group 0
    user: UserText = ""
    # with a terminal stderr is the terminal as well, and only stdout is read
    tty: bool = False
    # of its terminal, which has it before the program's first instruction; without a terminal it is refused
    size: TerminalSize | None = None

    def at_odds(self) -> tuple[str, str] | None:
        """A size of no terminal (see `fields`)."""
        return ("size", "no size without a terminal (tty)") if self.size is not None and not self.tty else None


class ResourceSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Limits of one container (OCI LinuxResources).

    None leaves a create the kernel's default and an update what is there; -1 is no limit. The ranges are the kernel's.
    """

    memory_bytes: _Bytes | None = None
    # what the kernel takes back to when memory is short
    memory_reservation_bytes: _Bytes | None = None
    # memory and swap together
    memory_swap_bytes: _Bytes | None = None
    pids: _Tasks | None = None
    # CPU time per period, both in microseconds
    cpu_quota_us: _Quota | None = None
    cpu_period_us: _Period | None = None
    cpu_shares: _Shares | None = None
    # which processors and memory nodes, as the kernel writes lists: "0-2,4"
    cpuset_cpus: _CpuList | None = None
    cpuset_mems: _CpuList | None = None


class MountSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One bind mount of a host directory or file into a container."""

    source: AbsolutePath
    destination: AbsolutePath
    readonly: bool = True


class ContainerSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One container to create."""

    process: ProcessSpec
    # busybox, dir:/path, oci:/path[:tag] or docker-archive:/path[:reference]: what the image store knows
    image: CString = "busybox"
    # False: writes go to a layer that ends with the container
    readonly: bool = False
    resources: ResourceSpec = ResourceSpec()
    mounts: tuple[MountSpec, ...] = ()


class SandboxSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sandbox to create."""

    # at most 64 bytes reach the kernel; empty means the sandbox's id
    hostname: CString = ""


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
