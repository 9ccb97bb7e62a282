"""The ports through which messages leave and enter: endpoints, listeners, transports.

Ordered, bounded message channels between two peers. Implementations: `memory` (the reference, and the
simulation's) and `nng`. Byte streams to an agent are `trio.abc.Stream`s, opened by a `Dialer` (`transports.stream`).

Receiving is a synchronous callback, not an `await`: the task that drains a socket hands each message directly
to the code that correlates it, so one message costs one task wake-up, not two. A receiver therefore never
blocks: it files the message and wakes a task.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from transports.errors import TransportError

__all__ = ["Dialer", "Endpoint", "Listener", "NowaitStream", "Receiver", "Transport"]


class Receiver(Protocol):
    """What an endpoint reports to its owner. Called from the endpoint's own task; must not block or raise."""

    def received(self, message: bytes) -> None:
        """One whole message, in the order the peer sent them."""

    def gone(self, cause: TransportError | None) -> None:
        """The peer is gone; called exactly once. `None` after an orderly goodbye."""


class Endpoint(Protocol):
    """One end of an ordered message channel."""

    @property
    def peer(self) -> str:
        """The other end, for display: an address or a session's name."""
        ...

    def send_nowait(self, message: bytes) -> None:
        """Queue one message; messages queued in one scheduler pass may be sent together.

        Raises:
            EndpointBusy: the bounded queue is full; `await send` waits for room.
            MessageTooLarge: over the endpoint's limit.
            EndpointClosed, EndpointBroken: it can't be sent.
        """

    async def send(self, message: bytes) -> None:
        """Like `send_nowait`, but waits for room instead of raising `EndpointBusy`."""

    async def aclose(self) -> None:
        """Exchange goodbyes, within a bound, and close. Idempotent. If cancelled: closes at once, without a goodbye."""


class Listener(Protocol):
    """A bound address that accepts peers until its `serve` task is cancelled."""

    @property
    def address(self) -> str:
        """The address to dial, as bound."""
        ...


class Transport(Protocol):
    """How to listen and how to dial. Both are long-running tasks: start them with `nursery.start`."""

    async def serve(
        self, address: str, accept: Callable[[Endpoint], Receiver], *, task_status: trio.TaskStatus[Listener]
    ) -> None:
        """Listen on `address` until cancelled; calls `accept` once per new peer.

        Raises:
            AddressError: the address can't be used.
            AddressInUse: somebody answers there already.
        """

    async def connect(self, address: str, receiver: Receiver, *, task_status: trio.TaskStatus[Endpoint]) -> None:
        """Dial `address` and keep the endpoint alive; returns when the endpoint has ended.

        Raises (before it starts):
            AddressError: the address can't be used.
            Unreachable: nobody answers there.
        """


class NowaitStream(trio.abc.Stream):
    """A byte stream with a non-blocking send, which saves a task switch for a lone small message."""

    @abstractmethod
    def send_nowait(self, data: bytes) -> int:
        """Give the kernel as much of `data` as it accepts without blocking; returns the byte count, perhaps 0.

        Not while a `send_all` is in progress.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: as `send_all`.
        """


class Dialer(Protocol):
    """Opens one byte stream to an agent; all that an agent connection knows of its socket."""

    def __call__(self) -> Awaitable[trio.abc.Stream]:
        """Dial once.

        Raises:
            Unreachable: nobody answers there (yet).
        """
        ...
