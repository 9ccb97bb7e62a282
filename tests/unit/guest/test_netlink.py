"""The bytes of netlink's route messages: what we ask is what we would read, and a refusal is one."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guest import netlink


def body(message: bytes) -> bytes:
    (found,) = netlink.messages(message)
    assert found is not None
    return found.body


@given(st.ip_addresses(), st.integers(1, 2**31 - 1), st.integers(0, 32))
def test_an_address_is_read_as_it_was_written(address: object, index: int, prefix: int) -> None:
    wanted = netlink.Address(index, str(address), prefix)
    assert netlink.read_address(body(netlink.address_message(netlink.NEWADDR, wanted))) == wanted


@pytest.mark.parametrize(
    "route",
    [
        netlink.Route("", "192.0.2.1", 3, "", 0, ipv6=False),
        netlink.Route("198.51.100.0/24", "", 3, "192.0.2.7", 253, ipv6=False),
        netlink.Route("fd00::/64", "fe80::1", 0, "", 0, ipv6=True),
        netlink.Route("", "192.0.2.1", 3, "", 0, ipv6=False, mtu=1280, flags=netlink.ROUTE_ON_LINK),
    ],
)
def test_a_route_is_read_as_it_was_written(route: netlink.Route) -> None:
    assert netlink.read_route(body(netlink.route_message(netlink.NEWROUTE, route))) == route


def test_a_device_is_read_as_it_was_written() -> None:
    message = netlink.link_message(7, name="eth0", mtu=1400, hardware="02:00:00:00:00:01")
    assert netlink.read_link(body(message)) == netlink.Link(7, "eth0", 1400, "02:00:00:00:00:01", 1)


def test_a_refusal_has_the_kernels_reason_and_an_acknowledgement_ends_the_answer() -> None:
    def answer(code: int) -> bytes:
        return struct.pack("=IHHIIi", 20, 2, 0, 1, 0, -code)

    assert list(netlink.messages(answer(0))) == [None]
    with pytest.raises(netlink.NetlinkFailed) as caught:
        list(netlink.messages(answer(errno.EPERM)))
    assert caught.value.errno == errno.EPERM


@given(st.binary(max_size=64))
def test_attributes_of_any_bytes_end(data: bytes) -> None:
    message = netlink.dump_message(netlink.GETROUTE)
    padded = message[16:] + data
    try:
        netlink.read_link(padded)
    except (struct.error, KeyError, ValueError):
        return
