"""Encoding of rtnetlink messages: dump and change links, addresses, routes and neighbours.

For the embedded guest's network. A codec: bytes in, values out, no socket. Covers only what a sandbox's network
needs.
"""

from __future__ import annotations

import ipaddress
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Address", "Link", "Message", "Neighbor", "NetlinkFailed", "Route", "address_message", "dump_message", "link_message",
    "messages", "neighbor_message", "read_address", "read_link", "read_neighbor", "read_route", "route_message",
]  # fmt: skip

NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
NEWNEIGH, DELNEIGH, GETNEIGH = 28, 29, 30
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP, _CREATE, _REPLACE = 0x1, 0x4, 0x300, 0x400, 0x100
_HEADER, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=HH")
_LINK, _ADDRESS, _ROUTE = struct.Struct("=BxHiII"), struct.Struct("=BBBBi"), struct.Struct("=BBBBBBBBI")
_NEIGHBOR = struct.Struct("=BxxxiHBB")
_IFF_UP, IFF_NOARP = 1, 0x80
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU = 1, 3, 4
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_NDA_DST, _NDA_LLADDR = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_METRICS, _RTA_TABLE = 1, 4, 5, 7, 8, 15
_RTAX_MTU = 2
# RTNH_F_ONLINK: the only flag that a client may set
ROUTE_ON_LINK = 4
_MAIN_TABLE, _STATIC, _UNICAST = 254, 4, 1
_INET, _INET6 = 2, 10


class NetlinkFailed(OSError):
    """The kernel rejected a request; `errno` says why."""


class Message(NamedTuple):
    """One message of a reply, without its header; `kind` is one of NEWLINK, NEWADDR, NEWROUTE."""

    kind: int
    body: bytes


class Link(NamedTuple):
    """One network device."""

    number: int
    name: str
    mtu: int
    hardware: str
    flags: int


class Address(NamedTuple):
    """One address of a link."""

    number: int
    address: str
    prefix: int


class Neighbor(NamedTuple):
    """One neighbour table entry; `state` is the kernel's number (128: permanent)."""

    number: int
    address: str
    hardware: str
    state: int
    flags: int


class Route(NamedTuple):
    """One route of the main table; an empty destination is the default route. `number` 0: no device."""

    destination: str
    gateway: str
    number: int
    source: str
    scope: int
    ipv6: bool
    # bytes, 0 for the link's; RTNH_F_* (4: the gateway is on the link)
    mtu: int = 0
    flags: int = 0
    # routes that the kernel made go with their address and are not ours to remove
    by_kernel: bool = False


def dump_message(kind: int) -> bytes:
    """Request all links, addresses or routes (GETLINK, GETADDR, GETROUTE)."""
    return _message(kind, _DUMP, struct.pack("=B15x", 0))


def link_message(index: int, *, name: str = "", mtu: int = 0, hardware: str = "", no_arp: bool = False) -> bytes:
    """Bring a link up, and change the given attributes."""
    flags = _IFF_UP | (IFF_NOARP if no_arp else 0)
    body = _LINK.pack(0, 0, index, flags, flags)
    if name:
        body += _attribute(_IFLA_IFNAME, name.encode() + b"\0")
    if mtu:
        body += _attribute(_IFLA_MTU, struct.pack("=I", mtu))
    if hardware:
        body += _attribute(_IFLA_ADDRESS, bytes.fromhex(hardware.replace(":", "")))
    return _message(NEWLINK, _ACK, body)


def address_message(kind: int, address: Address) -> bytes:
    """Add (NEWADDR) or remove (DELADDR) an address."""
    packed = ipaddress.ip_address(address.address).packed
    body = _ADDRESS.pack(_family(packed), address.prefix, 0, 0, address.number)
    body += _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_ADDRESS, packed)
    return _message(kind, _ACK | (_CREATE | _REPLACE if kind == NEWADDR else 0), body)


def route_message(kind: int, route: Route) -> bytes:
    """Add (NEWROUTE) or remove (DELROUTE) a route."""
    attributes, length = b"", 0
    if route.destination:
        network = ipaddress.ip_network(route.destination)
        length = network.prefixlen
        attributes += _attribute(_RTA_DST, network.network_address.packed)
    for number, text in ((_RTA_GATEWAY, route.gateway), (_RTA_PREFSRC, route.source)):
        if text:
            attributes += _attribute(number, ipaddress.ip_address(text).packed)
    if route.number:
        attributes += _attribute(_RTA_OIF, struct.pack("=i", route.number))
    if route.mtu:
        attributes += _attribute(_RTA_METRICS, _attribute(_RTAX_MTU, struct.pack("=I", route.mtu)))
    family = _INET6 if route.ipv6 else _INET
    body = _ROUTE.pack(family, length, 0, 0, _MAIN_TABLE, _STATIC, route.scope, _UNICAST, route.flags)
    return _message(kind, _ACK | (_CREATE if kind == NEWROUTE else 0), body + attributes)


def neighbor_message(neighbor: Neighbor) -> bytes:
    """Add or replace the entry for that address."""
    packed = ipaddress.ip_address(neighbor.address).packed
    body = _NEIGHBOR.pack(_family(packed), neighbor.number, neighbor.state, neighbor.flags, 0)
    body += _attribute(_NDA_DST, packed)
    if neighbor.hardware:
        body += _attribute(_NDA_LLADDR, bytes.fromhex(neighbor.hardware.replace(":", "")))
    return _message(NEWNEIGH, _ACK | _CREATE | _REPLACE, body)


def messages(data: bytes) -> Iterator[Message | None]:
    """The messages of one datagram; None marks the end of the reply.

    Raises:
        NetlinkFailed: the kernel rejected the request.
    """
    while len(data) >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data)
        body, data = data[_HEADER.size : length], data[_aligned(length) :]
        if kind == _ERROR:
            code = -struct.unpack_from("=i", body)[0]
            if code:
                raise NetlinkFailed(code, os.strerror(code))
            yield None
        elif kind == _DONE:
            yield None
        else:
            yield Message(kind, body)


def read_link(body: bytes) -> Link:
    """Decode a NEWLINK."""
    _, _, index, flags, _ = _LINK.unpack_from(body)
    found = _attributes(body[_LINK.size :])
    mtu = struct.unpack("=I", found[_IFLA_MTU])[0] if _IFLA_MTU in found else 0
    name = found.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode("utf-8", "replace")
    return Link(index, name, mtu, found.get(_IFLA_ADDRESS, b"").hex(":"), flags)


def read_address(body: bytes) -> Address:
    """Decode a NEWADDR."""
    _, prefix, _, _, index = _ADDRESS.unpack_from(body)
    found = _attributes(body[_ADDRESS.size :])
    return Address(index, str(ipaddress.ip_address(found.get(_IFA_LOCAL) or found[_IFA_ADDRESS])), prefix)


def read_neighbor(body: bytes) -> Neighbor:
    """Decode a NEWNEIGH."""
    _, number, state, flags, _ = _NEIGHBOR.unpack_from(body)
    found = _attributes(body[_NEIGHBOR.size :])
    return Neighbor(
        number, str(ipaddress.ip_address(found[_NDA_DST])), found.get(_NDA_LLADDR, b"").hex(":"), state, flags
    )


def read_route(body: bytes) -> Route | None:
    """Decode a NEWROUTE; None unless it is a unicast route of the main table."""
    family, length, _, _, table, protocol, scope, kind, flags = _ROUTE.unpack_from(body)
    found = _attributes(body[_ROUTE.size :])
    if _RTA_TABLE in found:
        (table,) = struct.unpack("=I", found[_RTA_TABLE])
    if table != _MAIN_TABLE or kind != _UNICAST or family not in (_INET, _INET6):
        return None
    metrics = _attributes(found.get(_RTA_METRICS, b""))
    text = {number: str(ipaddress.ip_address(found[number])) for number in _TEXTS if number in found}
    return Route(
        destination=f"{text[_RTA_DST]}/{length}" if _RTA_DST in text else "",
        gateway=text.get(_RTA_GATEWAY, ""),
        number=struct.unpack("=i", found[_RTA_OIF])[0] if _RTA_OIF in found else 0,
        source=text.get(_RTA_PREFSRC, ""),
        scope=scope,
        ipv6=family == _INET6,
        mtu=struct.unpack("=I", metrics[_RTAX_MTU])[0] if _RTAX_MTU in metrics else 0,
        # other flags are set by the kernel
        flags=flags & ROUTE_ON_LINK,
        by_kernel=protocol == 2,
    )


_TEXTS = (_RTA_DST, _RTA_GATEWAY, _RTA_PREFSRC)


def _family(packed: bytes) -> int:
    return _INET if len(packed) == 4 else _INET6


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _attribute(number: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, number) + value + bytes(_aligned(length) - length)


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(data) >= _ATTRIBUTE.size:
        length, number = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found[number & 0x3FFF] = data[_ATTRIBUTE.size : length]
        data = data[_aligned(length) :]
    return found


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags | _REQUEST, 1, 0) + body
