"""A route, an address or a neighbour is of one family, in all that is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.errors import InvalidArgument
from actors.guest.families import one_family

if TYPE_CHECKING:
    import ipaddress


@given(st.integers(0, 1), st.lists(st.ip_addresses() | st.none(), min_size=3, max_size=3))
def test_what_is_accepted_is_all_of_one_family(
    said: int, found: list[ipaddress.IPv4Address | ipaddress.IPv6Address | None]
) -> None:
    texts = {name: str(one or "") for name, one in zip(("dest", "gateway", "source"), found, strict=True)}
    versions: set[int] = {one.version for one in found if one is not None} | {6}.intersection({6 * said})
    try:
        ipv6 = one_family("a route", said, texts, "routes[0]")
    except InvalidArgument:
        assert len(versions) == 2
    else:
        assert versions <= {6 if ipv6 else 4}


@pytest.mark.parametrize(
    ("said", "texts", "field"),
    [
        (2, {}, "family"),
        (2**31 - 1, {"dest": "10.0.0.0/8"}, "family"),
        (-1, {}, "family"),
        (1, {"dest": "10.0.0.0/8"}, "dest"),
        (0, {"dest": "10.0.0.0/8", "gateway": "::1"}, "gateway"),
        (0, {"dest": "fd00::/8", "gateway": "fd00::1", "source": "10.0.0.1"}, "source"),
        (0, {"dest": "fe80::1%lo/128"}, "dest"),
        (0, {"gateway": "fe80::1%lo"}, "gateway"),
        (0, {"dest": "10.0.0.1/8"}, "dest"),
        (0, {"dest": "1"}, "dest"),
    ],
)
def test_refuses(said: int, texts: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        one_family("a route", said, texts, "routes[3]")
    assert caught.value.details["field"] == f"routes[3].{field}"


def test_a_family_that_is_not_said_is_that_of_the_addresses() -> None:
    assert one_family("a route", 0, {"dest": "fd00::/8", "gateway": ""}, "routes[0]")
    assert not one_family("a route", 0, {}, "routes[0]")
