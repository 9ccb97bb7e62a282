"""What must leave through an endpoint, in order, by tasks that can't wait and by tasks that can.

For answers and cancels, which are told from synchronous code and must not be dropped, beside stream chunks,
whose producers wait for room. Not a second queue in normal times: a message goes straight to the endpoint
unless that is full.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

from transports.errors import EndpointBusy, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable

    from transports.base import Endpoint
    from transports.shared_bound import Account

__all__ = ["Outbox"]


class Outbox:
    """The way out through one endpoint.

    Args:
        endpoint: where to.
        backlog_bytes: what may wait when the endpoint is full.
        account: what else is held for its peer, and for others; what waits is put on it.
        drain_soon: called when something waits; must get `drain` run in a task.
        overflow: called once when more than `backlog_bytes` waits, or more than the account allows; must get the endpoint closed.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        backlog_bytes: int,
        account: Account,
        drain_soon: Callable[[Outbox], None],
        overflow: Callable[[], None],
    ) -> None:
        self._endpoint = endpoint
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._limit = backlog_bytes
        self._account = account
        self._drain_soon = drain_soon
        self._overflow = overflow
        self._drained = trio.lowlevel.ParkingLot()
        self._draining = False
        self._over = False

    def post(self, message: bytes) -> None:
        """Send without waiting; never raises. On a link that has ended the message is dropped: both ends know."""
        if not self._backlog:
            try:
                self._endpoint.send_nowait(message)
            except EndpointBusy:
                pass
            except TransportError:
                return
            else:
                return
        if self._over:
            return
        allowed = self._account.allows(len(message))
        self._backlog.append(message)
        self._hold(len(message))
        if self._backlog_bytes > self._limit or not allowed:
            self._over = True
            self._overflow()
        if not self._draining:
            self._draining = True
            self._drain_soon(self)

    async def send(self, message: bytes) -> None:
        """Send after everything that waits. Raises what `Endpoint.send` raises."""
        while self._backlog:
            await self._drained.park()
        await self._endpoint.send(message)

    def _hold(self, size: int) -> None:
        self._backlog_bytes += size
        self._account.take(size)

    async def drain(self) -> None:
        """Send what waits; returns when nothing does, or when the link has ended."""
        try:
            while self._backlog:
                await self._endpoint.send(self._backlog[0])
                self._hold(-len(self._backlog.popleft()))
        except TransportError:
            self._backlog.clear()
            self._hold(-self._backlog_bytes)
        finally:
            self._draining = False
            self._drained.unpark_all()
