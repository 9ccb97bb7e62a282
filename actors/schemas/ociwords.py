"""What texts and numbers of OCI's specification may be: its words, and the kernel's ranges, as rules on types.

For `oci`, whose fields have them; `actors.wire.fields` asks. Whatever is unknown would be left out by one runtime, and fail in
another with words of its own. An empty text and 0 are unset, as on the protobuf wire.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, TypeAlias

from actors.wire.fields import between, is_cpu_list, rule

if TYPE_CHECKING:
    import msgspec

__all__ = [
    "LARGEST_MAJOR",
    "LARGEST_MINOR",
    "Access",
    "Capability",
    "DeviceType",
    "GivenCpus",
    "MajorNumber",
    "MinorNumber",
    "NamespaceType",
    "OrNoLimit",
    "PageSize",
    "Period",
    "Propagation",
    "Quota",
    "RlimitName",
    "RuleType",
    "SeccompAction",
    "SeccompArch",
    "SeccompFlag",
    "SeccompOperator",
    "Shares",
    "Swappiness",
]

# of the kernel's dev_t
LARGEST_MAJOR, LARGEST_MINOR = 2**12 - 1, 2**20 - 1
_CAPABILITIES = frozenset(
    f"CAP_{name}"
    for name in [
        "AUDIT_CONTROL",
        "AUDIT_READ",
        "AUDIT_WRITE",
        "BLOCK_SUSPEND",
        "BPF",
        "CHECKPOINT_RESTORE",
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "IPC_LOCK",
        "IPC_OWNER",
        "KILL",
        "LEASE",
        "LINUX_IMMUTABLE",
        "MAC_ADMIN",
        "MAC_OVERRIDE",
        "MKNOD",
        "NET_ADMIN",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_RAW",
        "PERFMON",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYSLOG",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_CHROOT",
        "SYS_MODULE",
        "SYS_NICE",
        "SYS_PACCT",
        "SYS_PTRACE",
        "SYS_RAWIO",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "WAKE_ALARM",
    ]
)
_RLIMITS = frozenset(
    f"RLIMIT_{name}"
    for name in [
        "AS",
        "CORE",
        "CPU",
        "DATA",
        "FSIZE",
        "LOCKS",
        "MEMLOCK",
        "MSGQUEUE",
        "NICE",
        "NOFILE",
        "NPROC",
        "RSS",
        "RTPRIO",
        "RTTIME",
        "SIGPENDING",
        "STACK",
    ]
)
_PROPAGATIONS = ("private", "rprivate", "rshared", "rslave", "runbindable", "shared", "slave", "unbindable")
_NAMESPACES = ("cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts")
_ACTIONS = frozenset(
    f"SCMP_ACT_{name}"
    for name in ["KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG", "NOTIFY"]
)
_ARCHES = frozenset(
    f"SCMP_ARCH_{name}"
    for name in [
        "X86",
        "X86_64",
        "X32",
        "ARM",
        "AARCH64",
        "LOONGARCH64",
        "M68K",
        "MIPS",
        "MIPS64",
        "MIPS64N32",
        "MIPSEL",
        "MIPSEL64",
        "MIPSEL64N32",
        "PARISC",
        "PARISC64",
        "PPC",
        "PPC64",
        "PPC64LE",
        "RISCV64",
        "S390",
        "S390X",
        "SH",
        "SHEB",
    ]
)
_FLAGS = frozenset(f"SECCOMP_FILTER_FLAG_{name}" for name in ["LOG", "TSYNC", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"])
_OPERATORS = frozenset(f"SCMP_CMP_{name}" for name in ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"])
_PAGE_SIZE = re.compile(r"[1-9][0-9]{0,8}[KMG]B")


def _unless_unset(least: int, most: int, also: tuple[int, ...] = (0,)) -> msgspec.Meta:
    words = " or ".join(map(str, also))
    return rule(f"{least} to {most}, or {words}", lambda value: value in also or least <= value <= most)


Capability: TypeAlias = Annotated[str, rule("one of Linux's capabilities, as CAP_CHOWN", _CAPABILITIES.__contains__)]
RlimitName: TypeAlias = Annotated[str, rule("one of Linux's, as RLIMIT_NOFILE", _RLIMITS.__contains__)]
Propagation: TypeAlias = Annotated[
    str, rule(f"one of {', '.join(_PROPAGATIONS)}, or nothing", ("", *_PROPAGATIONS).__contains__)
]
NamespaceType: TypeAlias = Annotated[str, rule(f"one of {', '.join(_NAMESPACES)}", _NAMESPACES.__contains__)]
SeccompAction: TypeAlias = Annotated[str, rule("one of libseccomp's, as SCMP_ACT_ERRNO", _ACTIONS.__contains__)]
SeccompArch: TypeAlias = Annotated[str, rule("one of libseccomp's, as SCMP_ARCH_X86_64", _ARCHES.__contains__)]
SeccompFlag: TypeAlias = Annotated[str, rule("one of Linux's, as SECCOMP_FILTER_FLAG_LOG", _FLAGS.__contains__)]
SeccompOperator: TypeAlias = Annotated[str, rule("one of libseccomp's, as SCMP_CMP_EQ", _OPERATORS.__contains__)]
DeviceType: TypeAlias = Annotated[str, rule("one of c, b, u, p", ("c", "b", "u", "p").__contains__)]
# of a rule on devices
RuleType: TypeAlias = Annotated[
    str, rule("one of a, b, c, u, p, or nothing", ("", "a", "b", "c", "u", "p").__contains__)
]
Access: TypeAlias = Annotated[str, rule("letters of rwm", lambda text: set(text) <= set("rwm"))]
# of a rule on devices: -1 matches all
MajorNumber: TypeAlias = Annotated[int, between(-1, LARGEST_MAJOR)]
MinorNumber: TypeAlias = Annotated[int, between(-1, LARGEST_MINOR)]
PageSize: TypeAlias = Annotated[str, rule("a size as 2MB", lambda text: _PAGE_SIZE.fullmatch(text) is not None)]
# of memory, in bytes, and of tasks
OrNoLimit: TypeAlias = Annotated[int, between(-1, 2**63 - 1)]
Quota: TypeAlias = Annotated[int, _unless_unset(1000, 2**44 - 1, (0, -1))]
Period: TypeAlias = Annotated[int, _unless_unset(1000, 1_000_000)]
Shares: TypeAlias = Annotated[int, _unless_unset(2, 262_144)]
Swappiness: TypeAlias = Annotated[int, between(0, 100)]
GivenCpus: TypeAlias = Annotated[str, rule("a list as 0-2,4, or nothing", lambda text: not text or is_cpu_list(text))]
