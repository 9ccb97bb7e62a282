"""What every container of a sandbox gets when nobody asks for more: capabilities, mounts, hidden paths.

For whoever builds an OCI specification: the kata agent on the host's side, the hyperstart service in the guest. Not for
what a caller asked for.
"""

from __future__ import annotations

from actors.schemas.oci import Mount

__all__ = ["CAPABILITIES", "MASKED", "MOUNTS", "OCI_VERSION", "READONLY"]

OCI_VERSION = "1.0.2"

# what Docker and Podman give to a root process that asked for nothing
CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)
_NOTHING_FANCY = ("nosuid", "noexec", "nodev")
MOUNTS = (
    Mount(destination="/proc", type="proc", source="proc", options=_NOTHING_FANCY),
    Mount(
        destination="/dev", type="tmpfs", source="tmpfs", options=("nosuid", "strictatime", "mode=755", "size=65536k")
    ),
    Mount(
        destination="/dev/pts",
        type="devpts",
        source="devpts",
        options=("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
    ),
    Mount(destination="/dev/shm", type="tmpfs", source="shm", options=(*_NOTHING_FANCY, "mode=1777", "size=65536k")),
    Mount(destination="/sys", type="sysfs", source="sysfs", options=(*_NOTHING_FANCY, "ro")),
)
# the OCI runtime specification's own examples, and what runc's `spec` writes
MASKED = (
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
)
READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
