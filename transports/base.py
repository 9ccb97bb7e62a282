"""The port through which messages leave and enter: endpoints, listeners, transports.

For ordered, bounded message channels between two peers. Implementations: `memory` (the reference
one, and the simulation's) and `nng`. Not for byte streams: an agent connection is a
`trio.abc.Stream` that a `Dialer` opens (`transports.stream`).

Receiving is a synchronous callback and not an `await`: the task that drains a socket hands each
message straight to whoever correlates it, so that one message costs one task wake and not two.
A receiver therefore never blocks: it files the message and wakes somebody.
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
    """What an endpoint tells its owner. Called from the endpoint's own task; must not block or raise."""

    def received(self, message: bytes) -> None:
        """One whole message, in the order in which the peer sent it."""

    def gone(self, cause: TransportError | None) -> None:
        """The peer is gone; called exactly once. `None` after an orderly goodbye."""


class Endpoint(Protocol):
    """One end of an ordered message channel."""

    @property
    def peer(self) -> str:
        """Who is at the other end, for people: an address or a session's name."""
        ...

    def send_nowait(self, message: bytes) -> None:
        """Queue one message; what one scheduler pass queues may leave together.

        Raises:
            EndpointBusy: the bounded queue is full; `await send` waits for room.
            MessageTooLarge: over the endpoint's limit.
            EndpointClosed, EndpointBroken: it can't be sent any more.
        """

    async def send(self, message: bytes) -> None:
        """Like `send_nowait`, but waits for room instead of raising `EndpointBusy`."""

    async def aclose(self) -> None:
        """Say goodbye, bounded, and close. Idempotent. Cancelled: closes at once, without a goodbye."""


class Listener(Protocol):
    """A bound address that accepts peers until its `serve` task is cancelled."""

    @property
    def address(self) -> str:
        """The address that peers dial, as bound."""
        ...


class Transport(Protocol):
    """How to listen and how to dial. Both are long-lived tasks: start them with `nursery.start`."""

    async def serve(
        self, address: str, accept: Callable[[Endpoint], Receiver], *, task_status: trio.TaskStatus[Listener]
    ) -> None:
        """Listen on `address` until cancelled; `accept` is called once for each new peer.

        Raises:
            AddressError: the address can't be used.
            AddressInUse: somebody answers there already.
        """

    async def connect(self, address: str, receiver: Receiver, *, task_status: trio.TaskStatus[Endpoint]) -> None:
        """Dial `address` and keep the endpoint alive; returns once the endpoint has ended.

        Raises (before it starts):
            AddressError: the address can't be used.
            Unreachable: nobody answers there.
        """


class NowaitStream(trio.abc.Stream):
    """A byte stream that can also take bytes without waiting, which spares a lone small message a task switch."""

    @abstractmethod
    def send_nowait(self, data: bytes) -> int:
        """Give the kernel as many of the first bytes as it takes at once; how many, perhaps 0.

        Not while a `send_all` is under way.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: as `send_all`.
        """


class Dialer(Protocol):
    """Opens one byte stream to an agent; the only thing an agent connection knows of its socket."""

    def __call__(self) -> Awaitable[trio.abc.Stream]:
        """Dial once.

        Raises:
            Unreachable: nobody answers there (yet).
        """
        ...
