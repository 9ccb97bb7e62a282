"""Address families: the number and the texts of a request must agree.

For the sandbox's network: an address of another family would be truncated or ignored. Pure. The encoding is
in `netlink`.
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
    """Whether it is IPv6. `said` 0 means IPv4 or, being also the unset value on Kata's wire, whatever the texts are.

    Args:
        what: what is requested, for the message.
        texts: addresses, and networks with a prefix length, by field name; empty ones are absent.
        path: of the message that holds the fields.

    Raises:
        InvalidArgument: not an address, one with a zone (`%eth0`), or one of another family.
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
