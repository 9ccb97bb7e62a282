"""What a link must know of a dialect: one table, and the only place where one is chosen.

Field numbers are in `actors.schemas`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from actors.schemas.status import END_OF_STREAM_1X, TAKES_DETAILS
from actors.words import Dialect
from transports.ttrpc.client import TtrpcClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import trio

    from transports.calls.client import CallClient

__all__ = ["DIALECTS", "DialectSpec"]


class DialectSpec(NamedTuple):
    """One row.

    Attributes:
        client: makes the client that carries its calls over a stream.
        end_of_stream: code and text of the error with which its agents answer a read at end of file; None if
        they answer with no bytes.
    """

    dialect: Dialect
    client: Callable[[trio.abc.Stream], CallClient]
    end_of_stream: tuple[int, str] | None


def _grpc_client(stream: trio.abc.Stream) -> CallClient:
    """h2 is imported only when gRPC is used."""
    from transports.grpc.client import GrpcClient

    return GrpcClient(stream)


_SPOKEN = (
    DialectSpec(Dialect.TTRPC, partial(TtrpcClient, metadata=(TAKES_DETAILS,)), None),
    DialectSpec(Dialect.GRPC, _grpc_client, END_OF_STREAM_1X),
)
DIALECTS: Mapping[Dialect, DialectSpec] = {row.dialect: row for row in _SPOKEN}
