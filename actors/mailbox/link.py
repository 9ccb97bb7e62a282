"""One connection of a client to its server: envelopes in, to whoever waits for them.

Lives as long as its endpoint; the client makes another one when it breaks. Not for asking: `client` is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.errors import OutcomeUnknown
from actors.wire.codec import decode_envelope
from actors.wire.envelope import VERSIONS, Chunk, Envelope, Event, Failure, Goodbye, Reply, Welcome
from transports.errors import EndpointSilent, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.mailbox.outbox import Outbox
    from actors.mailbox.pending import PendingAsk
    from transports.base import Endpoint
    from transports.errors import TransportError

__all__ = ["Link"]


class Link:
    """The `Receiver` of a client's endpoint.

    Attributes:
        endpoint, outbox: the way out; set by the client before anything is expected back.
        welcome: the server's answer to our hello.
        settled: set once `welcome` is there or the link has ended.
        ended: set once the link has ended.
        reason: why, for people.
        farewell: the server's goodbye, when it said one.
    """

    endpoint: Endpoint
    outbox: Outbox

    def __init__(
        self, pending: dict[int, PendingAsk], *, count_late: Callable[[], None], close_soon: Callable[[Link], None]
    ) -> None:
        self.welcome: Welcome | None = None
        self.farewell: Goodbye | None = None
        self.settled = trio.Event()
        self.ended = trio.Event()
        self.reason = ""
        self._pending = pending
        self._count_late = count_late
        self._close_soon = close_soon

    def received(self, message: bytes) -> None:
        """See `transports.base.Receiver`."""
        try:
            envelope = decode_envelope(message)
            if isinstance(envelope, (Reply, Failure)):
                self._answer(envelope)
            else:
                self._other(envelope)
        except RemoteProtocolError as error:
            self.fail(f"the server broke the protocol: {error}")

    def gone(self, cause: TransportError | None) -> None:
        """See `transports.base.Receiver`."""
        if not self.reason:
            self.reason = str(cause) if cause is not None else "the link was closed"
        # a frozen peer may wake and do what it was asked; a dead one will not
        how = "closed" if cause is None else "silent" if isinstance(cause, EndpointSilent) else "broken"
        self.ended.set()
        self.settled.set()
        lost = list(self._pending.values())
        self._pending.clear()
        for ask in lost:
            ask.lose(OutcomeUnknown(f"{ask.verb} was sent, then: {self.reason}", counter=ask.counter, link=how))

    def fail(self, reason: str) -> None:
        """Give the link up."""
        if not self.reason:
            self.reason = reason
            self._close_soon(self)

    def _answer(self, envelope: Reply | Failure) -> None:
        ask = self._pending.pop(envelope.counter, None)
        if ask is None:
            self._count_late()
        else:
            ask.settle(envelope)

    def _other(self, envelope: Envelope) -> None:
        if isinstance(envelope, (Chunk, Event)):
            ask = self._pending.get(envelope.counter)
            if ask is None:
                self._count_late()
            elif not ask.arrived(envelope):
                raise RemoteProtocolError(f"ask {envelope.counter} got more parts than it gave credit for")
        elif isinstance(envelope, Welcome):
            if envelope.version not in VERSIONS or self.welcome is not None:
                raise RemoteProtocolError(f"welcome in version {envelope.version}, or a second one")
            self.welcome = envelope
            self.settled.set()
        elif isinstance(envelope, Goodbye):
            self.reason = f"the server said goodbye: {envelope.reason}"
            self.farewell = envelope
        else:
            raise RemoteProtocolError(f"{type(envelope).__name__.lower()} is not for a client")
