"""What a link needs to know of a dialect, in one table; the only place where one is chosen.

For whoever opens a link to a kata agent. Not for numbers of fields: `actors.schemas`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from actors.schemas.status import END_OF_STREAM_1X, TAKES_DETAILS
from actors.words import Dialect
from transports.recognise import Peer
from transports.ttrpc.client import TtrpcClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import trio

    from transports.calls.client import CallClient

__all__ = ["DIALECTS", "DialectSpec"]


class DialectSpec(NamedTuple):
    """One row.

    Attributes:
        peer: who is expected at an address that a person named.
        client: makes the client that carries its calls over a stream.
        end_of_stream: the code and the text of a failure by which its agents answer a read at a stream's end; None when
            they answer with no bytes.
    """

    dialect: Dialect
    peer: Peer
    client: Callable[[trio.abc.Stream], CallClient]
    end_of_stream: tuple[int, str] | None


def _grpc_client(stream: trio.abc.Stream) -> CallClient:
    """It needs h2, which is imported for who speaks it."""
    from transports.grpc.client import GrpcClient

    return GrpcClient(stream)


_SPOKEN = (
    DialectSpec(Dialect.TTRPC, Peer.TTRPC, partial(TtrpcClient, metadata=(TAKES_DETAILS,)), None),
    DialectSpec(Dialect.GRPC, Peer.GRPC, _grpc_client, END_OF_STREAM_1X),
)
DIALECTS: Mapping[Dialect, DialectSpec] = {row.dialect: row for row in _SPOKEN}
