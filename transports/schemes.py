"""Which transport carries which address: one literal table.

For the command line and `actors.api`, which alone choose. Not for what an address means: each transport checks its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from transports.errors import AddressError
from transports.nng import NngTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from transports.base import Transport

__all__ = ["SCHEMES", "transport_for"]

SCHEMES: Mapping[str, Callable[[], Transport]] = {"inproc": NngTransport, "ipc": NngTransport}


def transport_for(address: str) -> Transport:
    """A transport for `address`. Raises: AddressError."""
    scheme = address.partition("://")[0]
    if scheme not in SCHEMES:
        known = " or ".join(f"{name}://" for name in SCHEMES)
        raise AddressError(f"{address!r}: expected {known}; tcp waits for mutual TLS, which is not there yet")
    return SCHEMES[scheme]()
