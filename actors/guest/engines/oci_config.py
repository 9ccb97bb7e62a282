"""From a client's OCI spec to the `config.json` for a runtime: what a guest adds, drops and defaults.

Pure: plain OCI documents (JSON names) in and out. Network, IPC and UTS namespaces are the guest's
own, shared by its containers. Running a runtime is in `runtime`, users in `users`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_CAPABILITIES", "Document", "bundle_config", "is_bind", "process_document"]

Document = dict[str, Any]

# the default set of Docker and containerd
DEFAULT_CAPABILITIES = (
    "CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
)  # fmt: skip
_CAPABILITY_SETS = ("bounding", "effective", "permitted")
_DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# containerd's defaults: https://github.com/containerd/containerd, pkg/oci
_MASKED = ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
           "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"]  # fmt: skip
_READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
# runc populates /dev itself; a terminal needs devpts even in an exec
_MOUNTS: tuple[Document, ...] = (
    {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
     "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
)  # fmt: skip
# always private to a container; the sandbox's other namespaces are shared by not listing them
_OWN_NAMESPACES = ("pid", "mount", "cgroup")


def _capabilities(document: Document) -> Document:
    """An absent capability set means the default set; an empty one stays empty."""
    found = document.get("capabilities")
    if found is None:
        return {name: list(DEFAULT_CAPABILITIES) for name in _CAPABILITY_SETS}
    return {name: names for name, names in found.items() if names}


def process_document(process: Document, user: Mapping[str, Any], *, home: str = "") -> Document:
    """The `process` part, or an exec's whole file: `user` has numeric ids; a missing PATH is added, and
    HOME as `home` if there is one.

    A runtime would look HOME up itself, as a process of the container and without bounds: crun reads /dev/zero until it
    is OOM-killed, and a pipe for ever.
    """
    environment: list[str] = list(process.get("env") or [])
    for default in (_DEFAULT_PATH, f"HOME={home}" if home else ""):
        name = default.partition("=")[0]
        if name and not any(entry.startswith(f"{name}=") for entry in environment):
            environment.append(default)
    kept = {key: value for key, value in process.items() if value not in (None, "")}
    return {
        **kept,
        "user": dict(user),
        "env": environment,
        "cwd": process.get("cwd") or "/",
        "capabilities": _capabilities(process),
    }


def is_bind(mount: Document) -> bool:
    """Whether it binds its source, and is no file system of its own."""
    return not {"bind", "rbind"}.isdisjoint(mount.get("options") or [])


def _mounts(asked: list[Document]) -> list[Document]:
    """Default mounts whose destination the client does not use, and the client's; shorter destinations first."""
    named = {mount["destination"] for mount in asked}
    every = [mount for mount in _MOUNTS if mount["destination"] not in named] + list(asked)
    return sorted(every, key=lambda mount: mount["destination"].count("/") if mount["destination"] != "/" else 0)


def _limited(resources: Document) -> Document:
    """Drop values that mean unlimited: a new cgroup has no limits, and crun would write the number."""
    kept = dict(resources)
    if kept.get("pids", {}).get("limit", 0) < 0:
        del kept["pids"]
    if kept.get("cpu", {}).get("quota", 0) < 0:
        kept["cpu"] = {name: asked for name, asked in kept["cpu"].items() if name != "quota"}
    return kept


def bundle_config(spec: Document, process: Document, *, rootfs: str, group: str) -> Document:
    """The runtime's `config.json`: `process` from `process_document`, `rootfs` relative to the bundle.

    Annotations are dropped. They are client input, and a runtime obeys some as commands, outside of the
    container and as the guest's root: for `run.oci.pidfd_receiver` crun connects to a socket at any path.
    """
    linux: Document = dict(spec.get("linux") or {})
    linux["namespaces"] = [{"type": name} for name in _OWN_NAMESPACES]
    linux["cgroupsPath"] = group
    linux["maskedPaths"] = linux.get("maskedPaths") or _MASKED
    linux["readonlyPaths"] = linux.get("readonlyPaths") or _READONLY
    if linux.get("resources"):
        linux["resources"] = _limited(linux["resources"])
    # set by the guest for the whole sandbox
    linux.pop("sysctl", None)
    root: Document = spec.get("root") or {}
    return {
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": rootfs, "readonly": bool(root.get("readonly"))},
        "mounts": _mounts(list(spec.get("mounts") or [])),
        "linux": linux,
    }
