"""The OCI runtime specification, as far as the agent API carries it.

Encoded as JSON these structs are a valid config.json: OCI's names, its required fields always there and the others only
when set. The same structs become the protobuf `grpc.Spec` and back (`actors.schemas.convert`), losing nothing either
way. Zero and unset are the same on that wire, and so here. What the kernel or a runtime would take for something else than
was said (a uid of -1, a NUL) stands as ranges and rules on the fields (`actors.wire.fields`). Not for building a specification: callers do.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Struct, field

from actors.limits import LARGEST_ID, MOST_GROUPS
from actors.schemas.convert import SchemaError, decode, encode
from actors.schemas.ociwords import (
    LARGEST_MAJOR,
    LARGEST_MINOR,
    Access,
    Capability,
    DeviceType,
    GivenCpus,
    MajorNumber,
    MinorNumber,
    NamespaceType,
    OrNoLimit,
    PageSize,
    Period,
    Propagation,
    Quota,
    RlimitName,
    RuleType,
    SeccompAction,
    SeccompArch,
    SeccompFlag,
    SeccompOperator,
    Shares,
    Swappiness,
)
from actors.wire.fields import AbsolutePath, CString, FullPath, at_most, between, rule

__all__ = [
    "Box",
    "Hook",
    "Hooks",
    "Linux",
    "LinuxBlockIO",
    "LinuxCPU",
    "LinuxCapabilities",
    "LinuxDevice",
    "LinuxDeviceCgroup",
    "LinuxHugepageLimit",
    "LinuxIDMapping",
    "LinuxIntelRdt",
    "LinuxInterfacePriority",
    "LinuxMemory",
    "LinuxNamespace",
    "LinuxNetwork",
    "LinuxPids",
    "LinuxResources",
    "LinuxSeccomp",
    "LinuxSeccompArg",
    "LinuxSyscall",
    "LinuxThrottleDevice",
    "LinuxWeightDevice",
    "Mount",
    "POSIXRlimit",
    "Process",
    "Root",
    "Solaris",
    "Spec",
    "User",
    "Windows",
    "spec_from_json",
    "spec_from_message",
    "spec_to_json",
    "spec_to_message",
]


_Id: TypeAlias = Annotated[int, between(0, LARGEST_ID)]
# of a terminal; 0 is unset, as everywhere on that wire
_Cells: TypeAlias = Annotated[int, between(0, 65535)]
_Variable: TypeAlias = Annotated[
    str, rule("NAME=value without NUL", lambda text: text.find("=") > 0 and "\0" not in text)
]


class Spec(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """What a container is: its config.json."""

    version: str = field(name="ociVersion")
    process: Process | None = None
    root: Root | None = None
    hostname: str = ""
    mounts: tuple[Mount, ...] = ()
    hooks: Hooks | None = None
    annotations: dict[str, str] = {}
    linux: Linux | None = None
    solaris: Solaris | None = None
    windows: Windows | None = None


class Process(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """A process: what runs, as whom, with which rights."""

    terminal: bool = False
    console_size: Box | None = None
    user: User | None = None
    args: tuple[CString, ...]
    env: tuple[_Variable, ...] = ()
    cwd: CString
    capabilities: LinuxCapabilities | None = None
    rlimits: tuple[POSIXRlimit, ...] = ()
    no_new_privileges: bool = False
    apparmor_profile: str = ""
    oom_score_adj: Annotated[int, between(-1000, 1000)] = 0
    selinux_label: str = ""


class Box(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """A terminal's size in characters."""

    height: _Cells
    width: _Cells


class User(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Numeric user and groups; a guest looks `username` up where the numbers are 0 (`actors.node.users.run_as`)."""

    uid: _Id
    gid: _Id
    additional_gids: Annotated[tuple[_Id, ...], at_most(MOST_GROUPS)] = ()
    username: CString = ""


class LinuxCapabilities(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """The five sets of capabilities, as `CAP_CHOWN`."""

    bounding: tuple[Capability, ...] = ()
    effective: tuple[Capability, ...] = ()
    inheritable: tuple[Capability, ...] = ()
    permitted: tuple[Capability, ...] = ()
    ambient: tuple[Capability, ...] = ()


class POSIXRlimit(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """One resource limit, as `RLIMIT_NOFILE`."""

    type: RlimitName
    hard: int
    soft: int


class Mount(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """One mount inside the container."""

    destination: CString
    source: CString = ""
    type: CString = ""
    options: tuple[CString, ...] = ()


class Root(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """The root file system: a path, absolute or relative to the bundle."""

    path: CString
    readonly: bool = False


class Hooks(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Programs that the runtime calls at fixed moments."""

    prestart: tuple[Hook, ...] = ()
    poststart: tuple[Hook, ...] = ()
    poststop: tuple[Hook, ...] = ()
    create_runtime: tuple[Hook, ...] = ()
    create_container: tuple[Hook, ...] = ()
    start_container: tuple[Hook, ...] = ()


class Hook(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """One such program; `timeout` in seconds, 0 for none."""

    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int = 0


class Linux(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """What only Linux has."""

    uid_mappings: tuple[LinuxIDMapping, ...] = ()
    gid_mappings: tuple[LinuxIDMapping, ...] = ()
    sysctl: dict[str, str] = {}
    resources: LinuxResources | None = None
    cgroups_path: str = ""
    namespaces: tuple[LinuxNamespace, ...] = ()
    devices: tuple[LinuxDevice, ...] = ()
    seccomp: LinuxSeccomp | None = None
    rootfs_propagation: Propagation = ""
    masked_paths: tuple[FullPath, ...] = ()
    readonly_paths: tuple[FullPath, ...] = ()
    mount_label: str = ""
    intel_rdt: LinuxIntelRdt | None = None


class Windows(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Carried and never looked at."""

    dummy: str = ""


class Solaris(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Carried and never looked at."""

    dummy: str = ""


class LinuxIDMapping(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """A range of user or group ids outside and inside."""

    host_id: int = field(name="hostID")
    container_id: int = field(name="containerID")
    size: int


class LinuxNamespace(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """A namespace, new, or the one at `path`."""

    type: NamespaceType
    path: CString = ""


class LinuxDevice(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """A device node; `type` is c, b, u or p; `file_mode` 0 leaves it to the runtime."""

    path: AbsolutePath
    type: DeviceType
    major: Annotated[int, between(0, LARGEST_MAJOR)] = 0
    minor: Annotated[int, between(0, LARGEST_MINOR)] = 0
    file_mode: int = 0
    uid: _Id = 0
    gid: _Id = 0


class LinuxResources(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Limits of the control group."""

    devices: tuple[LinuxDeviceCgroup, ...] = ()
    memory: LinuxMemory | None = None
    cpu: LinuxCPU | None = None
    pids: LinuxPids | None = None
    block_io: LinuxBlockIO | None = field(name="blockIO", default=None)
    hugepage_limits: tuple[LinuxHugepageLimit, ...] = ()
    network: LinuxNetwork | None = None


class LinuxMemory(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Limits in bytes; -1 for none, 0 for unset."""

    limit: OrNoLimit = 0
    reservation: OrNoLimit = 0
    swap: OrNoLimit = 0
    kernel: OrNoLimit = 0
    kernel_tcp: OrNoLimit = field(name="kernelTCP", default=0)
    swappiness: Swappiness = 0
    disable_oom_killer: bool = field(name="disableOOMKiller", default=False)


class LinuxCPU(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Shares, quota and periods (us), processors."""

    shares: Shares = 0
    quota: Quota = 0
    period: Period = 0
    realtime_runtime: int = 0
    realtime_period: int = 0
    cpus: GivenCpus = ""
    mems: GivenCpus = ""


class LinuxWeightDevice(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Weight of one block device."""

    major: int
    minor: int
    weight: int = 0
    leaf_weight: int = 0


class LinuxThrottleDevice(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Rate of one block device, in bytes or operations per second."""

    major: int
    minor: int
    rate: int


class LinuxBlockIO(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Weights and rates of block devices."""

    weight: int = 0
    leaf_weight: int = 0
    weight_device: tuple[LinuxWeightDevice, ...] = ()
    throttle_read_bps_device: tuple[LinuxThrottleDevice, ...] = ()
    throttle_write_bps_device: tuple[LinuxThrottleDevice, ...] = ()
    throttle_read_iops_device: tuple[LinuxThrottleDevice, ...] = field(name="throttleReadIOPSDevice", default=())
    throttle_write_iops_device: tuple[LinuxThrottleDevice, ...] = field(name="throttleWriteIOPSDevice", default=())


class LinuxPids(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """At most so many tasks; -1 for no limit."""

    limit: int


class LinuxDeviceCgroup(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """A rule on devices; `major` and `minor` -1 match all, and `access` has letters of rwm."""

    allow: bool
    type: RuleType = ""
    major: MajorNumber = -1
    minor: MinorNumber = -1
    access: Access = ""


class LinuxNetwork(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Class and priorities of packets."""

    class_id: int = field(name="classID", default=0)
    priorities: tuple[LinuxInterfacePriority, ...] = ()


class LinuxHugepageLimit(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Bytes of one huge page size, as `2MB`."""

    page_size: PageSize
    limit: int


class LinuxInterfacePriority(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Priority of one network device."""

    name: CString
    priority: int


class LinuxSeccomp(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """The system call filter."""

    default_action: SeccompAction
    architectures: tuple[SeccompArch, ...] = ()
    flags: tuple[SeccompFlag, ...] = ()
    syscalls: tuple[LinuxSyscall, ...] = ()


class LinuxSeccompArg(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """A condition on one argument of a system call."""

    index: int
    value: int
    value_two: int = 0
    op: SeccompOperator


class LinuxSyscall(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """What becomes of some system calls."""

    names: tuple[CString, ...]
    action: SeccompAction
    errno_ret: int | None = None
    args: tuple[LinuxSeccompArg, ...] = ()


class LinuxIntelRdt(Struct, frozen=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Cache allocation."""

    l3_cache_schema: str = ""


def spec_to_json(spec: Spec) -> bytes:
    """The bytes of a config.json."""
    return msgspec.json.encode(spec)


def spec_from_json(data: bytes) -> Spec:
    """Read a config.json; what the agent API can't carry is dropped.

    Raises:
        SchemaError: no JSON, a required field missing, or a field of the wrong type.
    """
    try:
        return msgspec.json.decode(data, type=Spec)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SchemaError("config.json", str(error)) from error


def spec_to_message(spec: Spec) -> bytes:
    """The bytes of a protobuf `grpc.Spec`.

    Raises:
        SchemaError: a value that its field can't carry.
    """
    return encode(spec, "grpc.Spec")


def spec_from_message(data: bytes) -> Spec:
    """Read the bytes of a protobuf `grpc.Spec`.

    Raises:
        SchemaError: the bytes are no such message.
    """
    return decode(Spec, "grpc.Spec", data)
