"""A client that speaks ttRPC; calls are run by `transports.calls.client`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transports.calls.client import CallClient
from transports.ttrpc.connection import ClientConnection

if TYPE_CHECKING:
    import trio

__all__ = ["TtrpcClient"]


class TtrpcClient(CallClient):
    """Calls over one stream. The stream belongs to the client: `run` closes it. `metadata` goes with each call."""

    def __init__(self, stream: trio.abc.Stream, metadata: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(stream, ClientConnection(metadata), "ttRPC")
