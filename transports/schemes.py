"""Which transport carries which mailbox address: one literal table.

Used only by the command line and `actors.api`. Each transport validates its own addresses, and is imported when it is
asked for: nng's Python side brings all of asyncio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from transports.address import parse_mailbox_address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from transports.base import Transport

__all__ = ["SCHEMES", "transport_for"]


def _nng() -> Transport:
    from transports.nng import NngTransport

    return NngTransport()


SCHEMES: Mapping[str, Callable[[], Transport]] = {"inproc": _nng, "ipc": _nng}


def transport_for(address: str) -> Transport:
    """A transport for `address`. Raises: AddressError."""
    return SCHEMES[parse_mailbox_address(address).scheme]()
