"""Addresses of one family: what a request says of it, in its numbers and in its texts, has to be the same.

For the sandbox's network: whatever differs would be cut down to another address, or left out. Pure. Not for the bytes
(`netlink`).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from actors.errors import InvalidArgument
from actors.schemas.network import IPFamily

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["one_family"]


def one_family(what: str, said: int, texts: Mapping[str, str], path: str) -> bool:
    """Whether it is IPv6. `said` 0 is v4 or, as on Kata's wire where it is unset, whatever the texts are.

    Args:
        what: is asked for, in words.
        texts: addresses, and networks with a prefix length, by the name of the field; empty ones are not given.
        path: of what holds the fields.

    Raises:
        InvalidArgument: a text that is none, one with a zone (`%eth0`), or of another family.
    """
    if said not in (IPFamily.v4, IPFamily.v6):
        raise InvalidArgument(f"{what}: family {said}: expected 0 (IPv4) or 1 (IPv6)", field=f"{path}.family")
    version, by = (6, "family") if said == IPFamily.v6 else (0, "")
    for name, text in texts.items():
        if not text:
            continue
        try:
            if "%" in text:
                raise ValueError(f"{text[:60]!r}: the device has a field of its own, expected no '%'")
            found = (ipaddress.ip_network if "/" in text else ipaddress.ip_address)(text).version
        except ValueError as error:
            raise InvalidArgument(f"{what}: {error}", field=f"{path}.{name}") from None
        if version not in (0, found):
            raise InvalidArgument(
                f"{what}: {name} {text[:60]!r} is IPv{found}, and {by} is IPv{version}", field=f"{path}.{name}"
            )
        version, by = found, name
    return version == 6
