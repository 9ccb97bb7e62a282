"""Interfaces, routes, neighbours and packet filters of the sandbox, as the agent API has them.

Fields are named as in agent.proto and types.proto. Not for what they do to a guest's network.
"""

# Made by scripts/make-structs from tables/kata-agent.json, kata-agent-1x.json and structs.toml.

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

from actors.schemas.request import Empty, Request

__all__ = [
    "ARPNeighbor",
    "ARPNeighbors",
    "AddARPNeighborsRequest",
    "GetIPTablesRequest",
    "GetIPTablesResponse",
    "IPAddress",
    "IPFamily",
    "Interface",
    "Interfaces",
    "ListInterfacesRequest",
    "ListRoutesRequest",
    "Route",
    "Routes",
    "SetIPTablesRequest",
    "SetIPTablesResponse",
    "UpdateInterfaceRequest",
    "UpdateRoutesRequest",
]


class IPFamily(IntEnum):
    """`family` of addresses and routes; an unknown number is kept as it is."""

    v4 = 0
    v6 = 1


class IPAddress(Struct, frozen=True):
    """An address with its prefix length, in text, as `mask`."""

    family: int = 0
    address: str = ""
    mask: str = ""


class Interface(Struct, frozen=True):
    """Reply to `UpdateInterface`: One network device; `device` is its name in the guest, `name` the one it is to have."""

    device: str = ""
    name: str = ""
    IPAddresses: tuple[IPAddress, ...] = ()
    mtu: int = 0
    hwAddr: str = ""
    devicePath: str = ""
    type: str = ""
    raw_flags: int = 0


class Route(Struct, frozen=True):
    """One route; `dest` is a network with prefix length, empty for the default route."""

    dest: str = ""
    gateway: str = ""
    device: str = ""
    source: str = ""
    scope: int = 0
    family: int = 0
    flags: int = 0
    mtu: int = 0


class ARPNeighbor(Struct, frozen=True):
    """One neighbour: address, link address, state flags of netlink."""

    toIPAddress: IPAddress | None = None
    device: str = ""
    lladdr: str = ""
    state: int = 0
    flags: int = 0


class Interfaces(Struct, frozen=True):
    """Reply to `ListInterfaces`: several."""

    Interfaces: tuple[Interface, ...] = ()


class Routes(Struct, frozen=True):
    """Reply to `UpdateRoutes`, `ListRoutes`: the whole table."""

    Routes: tuple[Route, ...] = ()


class UpdateInterfaceRequest(Request[Interface], frozen=True):
    """Change one network device; how it is then."""

    interface: Interface | None = None


class UpdateRoutesRequest(Request[Routes], frozen=True):
    """Replace the routes; how they are then."""

    routes: Routes | None = None


class ListInterfacesRequest(Request[Interfaces], frozen=True):
    """The sandbox's network devices."""


class ListRoutesRequest(Request[Routes], frozen=True):
    """The sandbox's routes."""


class ARPNeighbors(Struct, frozen=True):
    """Several neighbours."""

    ARPNeighbors: tuple[ARPNeighbor, ...] = ()


class AddARPNeighborsRequest(Request[Empty], frozen=True):
    """Add entries to the table of neighbours."""

    neighbors: ARPNeighbors | None = None


class GetIPTablesResponse(Struct, frozen=True):
    """Reply to `GetIPTables`."""

    data: bytes = b""


class GetIPTablesRequest(Request[GetIPTablesResponse], frozen=True):
    """The packet filter, as iptables-save prints it."""

    is_ipv6: bool = False


class SetIPTablesResponse(Struct, frozen=True):
    """Reply to `SetIPTables`."""

    data: bytes = b""


class SetIPTablesRequest(Request[SetIPTablesResponse], frozen=True):
    """Replace the packet filter; what iptables-restore said."""

    is_ipv6: bool = False
    data: bytes = b""
