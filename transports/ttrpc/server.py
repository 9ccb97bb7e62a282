"""A server that speaks ttRPC; calls are run by `transports.calls.server`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transports.calls.server import MAX_CALLS, CallServer
from transports.ttrpc.connection import ServerConnection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transports.calls.server import Handler, OnError

__all__ = ["TtrpcServer"]


class TtrpcServer(CallServer):
    """Serves calls on any number of streams; for the arguments see `CallServer`."""

    def __init__(
        self, handlers: Mapping[tuple[str, str], Handler], *, on_error: OnError, max_calls: int = MAX_CALLS
    ) -> None:
        super().__init__(handlers, ServerConnection, on_error=on_error, max_calls=max_calls)
