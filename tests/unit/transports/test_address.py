"""Parsing of addresses: one table of schemes, and errors that show the right form."""

from __future__ import annotations

import pytest

from transports.address import SOCKET_PATH_BYTES, Address, parse_address
from transports.errors import AddressError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:///run/a.sock", Address("unix", "/run/a.sock")),
        ("/run/a.sock", Address("unix", "/run/a.sock")),
        ("ipc:///run/a.sock", Address("ipc", "/run/a.sock")),
        ("inproc://box-1", Address("inproc", "box-1")),
    ],
)
def test_a_good_address_is_parsed(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "not absolute"),
        ("run/a.sock", "not absolute"),
        ("unix://run/a.sock", "/run/katrio/agent.sock"),
        ("unix://@abstract", "not absolute"),
        ("unix:///run/", "directory"),
        ("unix:///run/a\0b", "NUL"),
        ("inproc://", "inproc://name"),
        ("inproc://a\nb", "inproc://name"),
        ("inproc://" + "n" * 101, "inproc://name"),
        ("tcp://1.2.3.4:5", "unix://, ipc://, inproc://"),
    ],
)
def test_a_bad_address_is_refused_with_the_right_form(text: str, hint: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert hint in str(caught.value)


def test_a_path_may_have_107_bytes_and_not_108() -> None:
    longest = "/" + "é" * ((SOCKET_PATH_BYTES - 1) // 2)
    assert len(longest.encode()) == SOCKET_PATH_BYTES
    assert parse_address(longest).target == longest
    with pytest.raises(AddressError, match="has 108 bytes and Linux allows 107"):
        parse_address(longest + "x")
