"""What a link needs to know of a dialect, in one table; the only place where one is chosen.

For whoever opens a link to a kata agent. Not for numbers of fields: `actors.schemas`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.agents.kata.link import DialledLink
from actors.errors import Unsupported
from actors.schemas.dialect import Dialect
from transports.ttrpc.client import TtrpcClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import trio

    from actors.agents.kata.rpclink import RpcLink
    from actors.limits import Limits
    from transports.base import Dialer
    from transports.calls.client import CallClient

__all__ = ["open_rpc_link"]

CLIENTS: Mapping[Dialect, Callable[[trio.abc.Stream], CallClient]] = {Dialect.TTRPC: TtrpcClient}


def open_rpc_link(dialer: Dialer, limits: Limits, dialect: Dialect = Dialect.TTRPC) -> RpcLink:
    """A link that speaks the dialect; nothing is dialled before it runs. Raises: Unsupported."""
    client = CLIENTS.get(dialect)
    if client is None:
        raise Unsupported(f"dialect {dialect}: not there yet", field="dialect")
    return DialledLink(dialer, limits, client)
