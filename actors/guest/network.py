"""The network of a sandbox in the guest's own namespace: links, addresses, routes and neighbours, over netlink.

For the embedded platform. Only ever used in a namespace that the guest created. Message encoding is in `netlink`.
Nothing moves devices into the namespace yet, so only the loopback exists.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING, TypeVar

import trio

from actors.errors import InvalidArgument, NotFound, Unsupported
from actors.guest import netlink
from actors.guest.families import one_family
from actors.schemas import network as net

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["SandboxNetwork"]

T = TypeVar("T")

_DATAGRAM_BYTES = 256 * 1024
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,15}\Z")
_HARDWARE = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}\Z")
_MOST = 256
_PERMANENT = 0x80
# largest route MTU: the kernel silently caps larger ones
_LARGEST_MTU = 65535 - 15
# below these the kernel disables IPv4 (RFC 791) or IPv6 (RFC 8200) on a link, and removes the addresses
_LEAST_MTU_IPV4, _LEAST_MTU_IPV6 = 68, 1280


class SandboxNetwork:
    """One request at a time: a change takes several messages, and two interleaved changes would corrupt each other."""

    def __init__(self) -> None:
        self._turn = trio.Lock()

    async def interfaces(self) -> tuple[net.Interface, ...]:
        async with self._turn:
            return _interfaces()

    async def routes(self) -> tuple[net.Route, ...]:
        async with self._turn:
            return _routes()

    async def update_interface(self, wanted: net.Interface) -> net.Interface:
        """Raises: NotFound, InvalidArgument; then some of it may have been applied, as with every kata agent."""
        _check_interface(wanted)
        async with self._turn:
            link = next((one for one in _links() if one.name == wanted.device), None)
            if link is None:
                raise NotFound(f"interface {wanted.device!r}: no such device in this sandbox", device=wanted.device)
            rename = "" if wanted.name in ("", link.name) else wanted.name
            addresses = [netlink.Address(link.number, one.address, int(one.mask)) for one in wanted.IPAddresses]
            there = [one for one in _addresses() if one.number == link.number]
            hardware = "" if wanted.hwAddr == link.hardware else wanted.hwAddr
            # an MTU that is too small removes the addresses of that family
            requests = [netlink.address_message(netlink.DELADDR, one) for one in there if one not in addresses]
            requests += [
                netlink.link_message(
                    link.number,
                    name=rename,
                    mtu=wanted.mtu,
                    hardware=hardware,
                    no_arp=bool(wanted.raw_flags & netlink.IFF_NOARP),
                )
            ]
            requests += [netlink.address_message(netlink.NEWADDR, one) for one in addresses if one not in there]
            _apply(requests, f"interface {wanted.device!r}")
            return next(one for one in _interfaces() if one.device == (rename or link.name))

    async def update_routes(self, wanted: Sequence[net.Route]) -> tuple[net.Route, ...]:
        """Replace all routes but the kernel's own. Raises: NotFound, InvalidArgument; then the routes are restored."""
        if len(wanted) > _MOST:
            raise InvalidArgument(f"{len(wanted)} routes: expected at most {_MOST}", field="routes")
        async with self._turn:
            numbers = {link.name: link.number for link in _links()}
            new = [_route(index, one, numbers) for index, one in enumerate(wanted)]
            old = [one for one in _every_route() if not one.by_kernel]
            _apply([netlink.route_message(netlink.DELROUTE, one) for one in old], "the old routes")
            try:
                _apply([netlink.route_message(netlink.NEWROUTE, one) for one in new], "the new routes")
            except InvalidArgument:
                added = [one for one in _every_route() if not one.by_kernel]
                _apply([netlink.route_message(netlink.DELROUTE, one) for one in added], "the new routes")
                _apply([netlink.route_message(netlink.NEWROUTE, one) for one in old], "the old routes")
                raise
            return _routes()

    async def add_neighbors(self, wanted: Sequence[net.ARPNeighbor]) -> None:
        """Raises: NotFound, InvalidArgument; entries before the rejected one stay."""
        if len(wanted) > _MOST:
            raise InvalidArgument(f"{len(wanted)} neighbours: expected at most {_MOST}", field="neighbors")
        async with self._turn:
            numbers = {link.name: link.number for link in _links()}
            new = [_neighbor(one, numbers) for one in wanted]
            _apply([netlink.neighbor_message(one) for one in new], "the neighbours")


def _links() -> list[netlink.Link]:
    return _dump(netlink.GETLINK, netlink.read_link)


def _addresses() -> list[netlink.Address]:
    return _dump(netlink.GETADDR, netlink.read_address)


def _every_route() -> list[netlink.Route]:
    return [one for one in _dump(netlink.GETROUTE, netlink.read_route) if one is not None]


def _interfaces() -> tuple[net.Interface, ...]:
    addresses = _addresses()
    return tuple(
        net.Interface(
            device=link.name,
            name=link.name,
            mtu=link.mtu,
            hwAddr=link.hardware,
            raw_flags=link.flags,
            IPAddresses=tuple(
                net.IPAddress(family=int(":" in one.address), address=one.address, mask=str(one.prefix))
                for one in addresses
                if one.number == link.number
            ),
        )
        for link in _links()
    )


def _routes() -> tuple[net.Route, ...]:
    names = {link.number: link.name for link in _links()}
    return tuple(
        net.Route(
            dest=one.destination,
            gateway=one.gateway,
            device=names.get(one.number, ""),
            source=one.source,
            scope=one.scope,
            family=int(one.ipv6),
            flags=one.flags,
            mtu=one.mtu,
        )
        for one in _every_route()
    )


def _check_interface(wanted: net.Interface) -> None:
    if len(wanted.IPAddresses) > _MOST:
        raise InvalidArgument(f"{len(wanted.IPAddresses)} addresses: expected at most {_MOST}", field="addresses")
    least = _LEAST_MTU_IPV4
    for index, one in enumerate(wanted.IPAddresses):
        texts = {"address": one.address}
        if one_family(f"address {one.address[:60]!r}", one.family, texts, f"addresses[{index}]"):
            least = _LEAST_MTU_IPV6
        try:
            ipaddress.ip_interface(f"{one.address}/{int(one.mask)}")
        except ValueError as error:
            raise InvalidArgument(f"address {one.address[:60]!r}: {error}", field="addresses") from None
    if 0 < wanted.mtu < least:
        raise InvalidArgument(f"mtu {wanted.mtu}: with less than {least} its addresses would go", field="mtu")
    if wanted.name and (not _NAME.match(wanted.name) or wanted.name in (".", "..")):
        raise InvalidArgument(f"name {wanted.name[:40]!r}: no device can be called so", field="name")
    if wanted.hwAddr and not _HARDWARE.match(wanted.hwAddr):
        raise InvalidArgument(f"hardware address {wanted.hwAddr[:40]!r}: expected six bytes", field="hardware_address")
    if wanted.devicePath:
        raise Unsupported(
            "interface: this guest is no VM, no device can be plugged into it; leave it out", field="devicePath"
        )
    if wanted.mtu >= 2**31:
        raise InvalidArgument(f"mtu {wanted.mtu}: expected less than 2**31", field="mtu")


def _route(index: int, wanted: net.Route, numbers: dict[str, int]) -> netlink.Route:
    if wanted.device and wanted.device not in numbers:
        raise NotFound(f"route by {wanted.device[:40]!r}: no such device in this sandbox", device=wanted.device[:40])
    if wanted.scope > 255:
        raise InvalidArgument(f"scope {wanted.scope}: expected 0 to 255", field="routes")
    if wanted.flags & ~netlink.ROUTE_ON_LINK:
        raise Unsupported(
            f"route to {wanted.dest[:60]!r}: flags {wanted.flags}: 4 (on the link) alone can be set", field="routes"
        )
    if wanted.mtu > _LARGEST_MTU:
        raise InvalidArgument(
            f"route to {wanted.dest[:60]!r}: mtu {wanted.mtu}: expected up to {_LARGEST_MTU}", field="routes"
        )
    texts = {"dest": wanted.dest, "gateway": wanted.gateway, "source": wanted.source}
    ipv6 = one_family(f"route to {wanted.dest[:60]!r}", wanted.family, texts, f"routes[{index}]")
    return netlink.Route(
        destination=wanted.dest,
        gateway=wanted.gateway,
        number=numbers.get(wanted.device, 0),
        source=wanted.source,
        scope=wanted.scope,
        ipv6=ipv6,
        mtu=wanted.mtu,
        flags=wanted.flags,
    )


def _neighbor(wanted: net.ARPNeighbor, numbers: dict[str, int]) -> netlink.Neighbor:
    if wanted.device not in numbers:
        raise NotFound(
            f"neighbour by {wanted.device[:40]!r}: no such device in this sandbox", device=wanted.device[:40]
        )
    address = wanted.toIPAddress.address if wanted.toIPAddress is not None else ""
    if wanted.toIPAddress is not None:
        one_family(f"neighbour {address[:60]!r}", wanted.toIPAddress.family, {"address": address}, "toIPAddress")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise InvalidArgument(
            f"neighbour {address[:60]!r}: expected an IP address without a prefix length", field="toIPAddress.address"
        ) from None
    if not _HARDWARE.match(wanted.lladdr):
        raise InvalidArgument(
            f"neighbour {address!r}: lladdr {wanted.lladdr[:40]!r}: expected six bytes", field="lladdr"
        )
    for name, value, most in (("state", wanted.state, 0xFFFF), ("flags", wanted.flags, 0xFF)):
        if not 0 <= value <= most:
            raise InvalidArgument(f"neighbour {address!r}: {name} {value}: expected 0 to {most}", field=name)
    # 0 is unset: an entry without a state is meant to last
    state = wanted.state or _PERMANENT
    return netlink.Neighbor(numbers[wanted.device], address, wanted.lladdr, state, wanted.flags)


def _open() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)


def _dump(kind: int, read: Callable[[bytes], T]) -> list[T]:
    """Blocking is fine: the kernel answers at once."""
    found: list[T] = []
    with _open() as link:
        link.send(netlink.dump_message(kind))
        while True:
            for message in netlink.messages(link.recv(_DATAGRAM_BYTES)):
                if message is None:
                    return found
                found.append(read(message.body))


def _apply(requests: list[bytes], what: str) -> None:
    """Raises: InvalidArgument with the kernel's reason."""
    with _open() as link:
        for request in requests:
            link.send(request)
            try:
                for _ in netlink.messages(link.recv(_DATAGRAM_BYTES)):
                    pass
            except netlink.NetlinkFailed as error:
                raise InvalidArgument(f"{what}: the kernel refuses: {error.strerror}", field="network") from None
