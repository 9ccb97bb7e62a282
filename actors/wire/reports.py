"""The plain values that verbs return from a guest: processes, resource usage, guest details, network.

Agents translate their own protocol to these. Requests are in `spec`. Times in nanoseconds, sizes in bytes, counters
since create.
"""

from __future__ import annotations

import ipaddress
import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec

from actors.wire.fields import between, rule

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Address",
    "BlockCounter",
    "Capabilities",
    "ContainerStats",
    "CpuStats",
    "GuestDetails",
    "HugePageStats",
    "Interface",
    "MemoryStats",
    "MemoryUse",
    "NetworkStats",
    "PidsStats",
    "Route",
]


def _is(read: Callable[[str], object]) -> Callable[[str], bool]:
    def reads(text: str) -> bool:
        try:
            read(text)
        except ValueError:
            return False
        return True

    return reads


_is_address, _is_network = _is(ipaddress.ip_address), _is(partial(ipaddress.ip_network, strict=False))
_DEVICE = re.compile(r"[^/\s\0]{1,15}")
_HARDWARE = re.compile(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
_AddressText: TypeAlias = Annotated[str, rule("an IP address", _is_address)]
_GivenAddress: TypeAlias = Annotated[str, rule("an IP address, or nothing", lambda text: not text or _is_address(text))]
_GivenNetwork: TypeAlias = Annotated[
    str, rule("a network with its prefix length, or nothing", lambda text: not text or _is_network(text))
]
_GivenDevice: TypeAlias = Annotated[
    str, rule("a device's name, or nothing", lambda text: not text or _DEVICE.fullmatch(text) is not None)
]
_Device: TypeAlias = Annotated[str, rule("a device's name", lambda text: _DEVICE.fullmatch(text) is not None)]
_GivenHardware: TypeAlias = Annotated[
    str,
    rule("six bytes as 02:00:00:00:00:01, or nothing", lambda text: not text or _HARDWARE.fullmatch(text) is not None),
]


class CpuStats(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Processor time, and how often and how long a quota held the container back."""

    total_ns: int = 0
    user_ns: int = 0
    kernel_ns: int = 0
    # one number per CPU; empty where the kernel does not count them
    per_cpu_ns: tuple[int, ...] = ()
    periods: int = 0
    throttled_periods: int = 0
    throttled_ns: int = 0


class MemoryUse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One kind of memory: now, the most ever, its limit (0: none) and how often that was hit."""

    bytes: int = 0
    max_bytes: int = 0
    limit_bytes: int = 0
    failures: int = 0


class MemoryStats(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Memory; `detail` is the kernel's own memory.stat."""

    usage: MemoryUse = MemoryUse()
    swap: MemoryUse | None = None
    kernel: MemoryUse | None = None
    cache_bytes: int = 0
    detail: dict[str, int] = {}


class PidsStats(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tasks now, and their limit (0: none)."""

    current: int = 0
    limit: int = 0


class BlockCounter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One counter of one block device: `kind` is "bytes" or "operations", `operation` the kernel's word (Read, Write)."""

    device: str
    kind: str
    operation: str
    value: int = 0


class HugePageStats(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Huge pages of one size: bytes now, the most ever, failed requests."""

    bytes: int = 0
    max_bytes: int = 0
    failures: int = 0


class NetworkStats(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Counters of one network device of the sandbox."""

    name: str
    received_bytes: int = 0
    received_packets: int = 0
    sent_bytes: int = 0
    sent_packets: int = 0


class ContainerStats(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one container uses. A part that its guest does not count is None."""

    cpu: CpuStats | None = None
    memory: MemoryStats | None = None
    pids: PidsStats | None = None
    block_io: tuple[BlockCounter, ...] = ()
    # by page size, as "2MB"
    huge_pages: dict[str, HugePageStats] = {}
    network: tuple[NetworkStats, ...] = ()


class Capabilities(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a sandbox's agent can be given."""

    # block devices as a container's root or volume, rather than directories only
    block_devices: bool = False
    seccomp: bool = False
    # the agent's own names of its features
    features: tuple[str, ...] = ()


class GuestDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a guest says of itself. Sizes it does not know are 0."""

    agent_version: str
    # whether the agent is the guest kernel's first process
    init_daemon: bool = False
    memory_block_bytes: int = 0
    memory_hotplug_probe: bool = False
    device_handlers: tuple[str, ...] = ()
    storage_handlers: tuple[str, ...] = ()
    seccomp: bool = False
    features: tuple[str, ...] = ()


class Address(msgspec.Struct, frozen=True):
    """An address with its prefix length, as `192.0.2.1` and 24; IPv6 where it has colons."""

    address: _AddressText
    prefix: Annotated[int, between(0, 128)]


class Interface(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One network device of the sandbox: `device` is its name in the guest, `name` the one it is to have."""

    device: _Device
    name: _GivenDevice = ""
    addresses: tuple[Address, ...] = ()
    # 0 leaves it as it is
    mtu: Annotated[int, between(0, 2**31 - 1)] = 0
    hardware_address: _GivenHardware = ""


class Route(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One route; `destination` is a network with its prefix length, empty for the default route."""

    destination: _GivenNetwork = ""
    gateway: _GivenAddress = ""
    device: _GivenDevice = ""
    source: _GivenAddress = ""
    # the kernel's numbers: 0 universe, 253 link, 254 host
    scope: Annotated[int, between(0, 255)] = 0
    # False also means unset: then derived from the addresses
    ipv6: bool = False
