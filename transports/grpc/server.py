"""A server that speaks gRPC; calls are run by `transports.calls.server`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from transports.calls.server import MAX_CALLS, CallServer
from transports.grpc.serving import ServerConnection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transports.calls.server import Handler, OnError

__all__ = ["GrpcServer"]


class GrpcServer(CallServer):
    """Serves calls on any number of streams; for the arguments see `CallServer`."""

    def __init__(
        self, handlers: Mapping[tuple[str, str], Handler], *, on_error: OnError, max_calls: int = MAX_CALLS
    ) -> None:
        super().__init__(
            handlers,
            lambda calls: ServerConnection(calls, trio.current_time),
            on_error=on_error,
            max_calls=max_calls,
        )
