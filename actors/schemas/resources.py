"""Storages, devices, volumes, memory and processors that a sandbox is given, as the agent API has them.

Fields are named as in agent.proto and csi.proto; sizes in bytes. Not for limits of one container: those are `oci.Resources`.
"""

# Made by scripts/make-structs from tables/kata-agent.json, kata-agent-1x.json and structs.toml.

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

from actors.schemas.request import Empty, Request

__all__ = [
    "AddSwapPathRequest",
    "AddSwapRequest",
    "Device",
    "FSGroup",
    "FSGroupChangePolicy",
    "MemAgentCompactConfig",
    "MemAgentMemcgConfig",
    "MemHotplugByProbeRequest",
    "OnlineCPUMemRequest",
    "RemoveStaleVirtiofsShareMountsRequest",
    "ResizeVolumeRequest",
    "SharedMount",
    "Storage",
    "UpdateEphemeralMountsRequest",
    "VolumeCondition",
    "VolumeStatsRequest",
    "VolumeStatsResponse",
    "VolumeUnit",
    "VolumeUsage",
]


class VolumeUnit(IntEnum):
    """`unit` of a `VolumeUsage`; an unknown number is kept as it is."""

    UNKNOWN = 0
    BYTES = 1
    INODES = 2


class FSGroupChangePolicy(IntEnum):
    """`group_change_policy` of an `FSGroup`: change every file's group always, or only if the root's differs."""

    Always = 0
    OnRootMismatch = 1


class VolumeUsage(Struct, frozen=True):
    """One measure of a volume, in bytes or inodes."""

    available: int = 0
    total: int = 0
    used: int = 0
    unit: int = 0


class VolumeCondition(Struct, frozen=True):
    """Whether a volume is sick, and why."""

    abnormal: bool = False
    message: str = ""


class VolumeStatsResponse(Struct, frozen=True):
    """Reply to `GetVolumeStats`."""

    usage: tuple[VolumeUsage, ...] = ()
    volume_condition: VolumeCondition | None = None


class VolumeStatsRequest(Request[VolumeStatsResponse], frozen=True):
    """How full a volume is."""

    volume_guest_path: str = ""


class ResizeVolumeRequest(Request[Empty], frozen=True):
    """Give a volume another size."""

    volume_guest_path: str = ""
    size: int = 0


class OnlineCPUMemRequest(Request[Empty], frozen=True):
    """Bring up processors and memory that were plugged in.

    `wait`: until `nb_cpus` of them are up.
    """

    wait: bool = False
    nb_cpus: int = 0
    cpu_only: bool = False


class MemHotplugByProbeRequest(Request[Empty], frozen=True):
    """Tell the kernel of memory that was plugged in.

    `memHotplugProbeAddr`: physical addresses.
    """

    memHotplugProbeAddr: tuple[int, ...] = ()


class AddSwapRequest(Request[Empty], frozen=True):
    """Swap to a device, by its PCI path.

    `PCIPath`: PCI slots on the way to it.
    """

    PCIPath: tuple[int, ...] = ()


class AddSwapPathRequest(Request[Empty], frozen=True):
    """Swap to a device, by its path."""

    path: str = ""


class MemAgentMemcgConfig(Request[Empty], frozen=True):
    """Tune the memory agent's control group part.

    `None` leaves a setting alone.
    """

    disabled: bool | None = None
    swap: bool | None = None
    swappiness_max: int | None = None
    period_secs: int | None = None
    period_psi_percent_limit: int | None = None
    eviction_psi_percent_limit: int | None = None
    eviction_run_aging_count_min: int | None = None


class MemAgentCompactConfig(Request[Empty], frozen=True):
    """Tune the memory agent's compaction.

    `None` leaves a setting alone.
    """

    disabled: bool | None = None
    period_secs: int | None = None
    period_psi_percent_limit: int | None = None
    compact_psi_percent_limit: int | None = None
    compact_sec_max: int | None = None
    compact_order: int | None = None
    compact_threshold: int | None = None
    compact_force_times: int | None = None


class FSGroup(Struct, frozen=True):
    """The group that shall own a volume's files."""

    group_id: int = 0
    group_change_policy: int = 0


class Storage(Struct, frozen=True):
    """Something to mount, by `driver`, at `mount_point`."""

    driver: str = ""
    driver_options: tuple[str, ...] = ()
    source: str = ""
    fstype: str = ""
    options: tuple[str, ...] = ()
    mount_point: str = ""
    fs_group: FSGroup | None = None
    shared: bool = False


class SharedMount(Struct, frozen=True):
    """A directory of one container shown in another."""

    name: str = ""
    src_ctr: str = ""
    src_path: str = ""
    dst_ctr: str = ""
    dst_path: str = ""


class Device(Struct, frozen=True):
    """A device that the host gave the VM, and where the container wants it."""

    id: str = ""
    type: str = ""
    vm_path: str = ""
    container_path: str = ""
    options: tuple[str, ...] = ()


class UpdateEphemeralMountsRequest(Request[Empty], frozen=True):
    """Give tmpfs storages of the sandbox new options, their size for one."""

    storages: tuple[Storage, ...] = ()


class RemoveStaleVirtiofsShareMountsRequest(Request[Empty], frozen=True):
    """Look at every virtiofs mount, so that stale ones are dropped."""
