"""One client's link at the server: its envelopes in, its answers out.

Checks who speaks, files asks with their actor, and applies at-most-once. Not for what outlives the link:
that is the client's `Sender`.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Protocol

import trio

from actors.errors import Busy, Expired, InvalidArgument, KatrioError, NotFound, OutcomeUnknown, Unsupported
from actors.mailbox.request import Request, encode_failure
from actors.wire.codec import decode_envelope, decode_versions, encode, encode_raw
from actors.wire.envelope import VERSIONS, Ask, Cancel, Credit, Envelope, Goodbye, Hello, Welcome
from transports.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.mailbox.clients import Clients
    from actors.mailbox.inbox import Inbox
    from actors.mailbox.outbox import Outbox
    from actors.mailbox.sender import Counters, Sender
    from transports.errors import TransportError

__all__ = ["Session"]

# the least a stream's reader must be able to take; below it chunks would be mostly envelope
MIN_WINDOW = 4096


class Owner(Protocol):
    """What a link needs of its server."""

    name: str
    clients: Clients
    counters: Counters
    closing: bool

    def inbox(self, name: str) -> Inbox | None:
        """The mailbox of that name."""
        ...

    def close_soon(self, session: Session, reason: str) -> None:
        """Close a link that can't be trusted any more."""
        ...

    def ended(self, session: Session) -> None:
        """The link has ended."""
        ...


class Session:
    """The `Receiver` of one accepted endpoint."""

    def __init__(self, server: Owner, outbox: Outbox) -> None:
        self._server = server
        self._outbox = outbox
        self._sender: Sender | None = None
        self._closing = False

    def post(self, message: bytes) -> None:
        """Send without waiting."""
        self._outbox.post(message)

    async def send(self, message: bytes) -> None:
        """Send after what waits. Raises what `Endpoint.send` raises."""
        await self._outbox.send(message)

    def received(self, message: bytes) -> None:
        """See `transports.base.Receiver`."""
        if self._closing:
            return
        try:
            envelope = decode_envelope(message)
            if type(envelope) is Ask and self._sender is not None:
                self._ask(self._sender, envelope)
            else:
                self._other(envelope)
        except RemoteProtocolError as error:
            versions = decode_versions(message)
            if self._sender is None and versions and not set(versions) & set(VERSIONS):
                self._refuse_versions(versions)
            else:
                self.kick("protocol_error", str(error))

    # for the server's timer: a peer that is there and does not say who it is

    @property
    def pending(self) -> bool:
        """Whether it has yet to say hello."""
        return self._sender is None and not self._closing

    def expire(self) -> None:
        """It had time enough."""
        self.kick("protocol_error", "no hello came in time")

    def gone(self, cause: TransportError | None) -> None:
        """See `transports.base.Receiver`."""
        self._closing = True
        self._server.ended(self)
        sender, self._sender = self._sender, None
        if sender is not None:
            self._server.clients.departed(sender)
            for request in list(sender.in_flight.values()):
                request.cancel()

    @property
    def closing(self) -> bool:
        """Whether nothing is heard on it any more."""
        return self._closing

    def kick(self, code: str, reason: str, details: Mapping[str, object] | None = None) -> None:
        """Close the link, telling the client why."""
        if not self._closing:
            self.say_goodbye(code, reason, details)
            self._server.close_soon(self, reason)

    def say_goodbye(self, code: str, reason: str, details: Mapping[str, object] | None = None) -> None:
        """Tell the client why its link is about to be closed; nothing it says after that is heard."""
        if not self._closing:
            self._closing = True
            self._outbox.post(encode(Goodbye(code, reason[:4096], encode_raw(details or {}))))

    def _other(self, envelope: Envelope) -> None:
        if isinstance(envelope, Hello):
            self._hello(envelope)
        elif isinstance(envelope, Goodbye):
            pass  # its transport says goodbye as well; this one carries the reason
        elif self._sender is None:
            raise RemoteProtocolError(f"the first envelope must be hello, not {type(envelope).__name__.lower()}")
        elif isinstance(envelope, Cancel):
            request = self._sender.in_flight.get(envelope.counter)
            if request is not None:
                request.cancel()
        elif isinstance(envelope, Credit):
            request = self._sender.in_flight.get(envelope.counter)
            if request is not None and not request.grant(envelope.amount):
                raise RemoteProtocolError(f"ask {envelope.counter}: credit for more than was sent")
        else:
            raise RemoteProtocolError(f"{type(envelope).__name__.lower()} is not for a server")

    def _hello(self, hello: Hello) -> None:
        if self._sender is not None:
            raise RemoteProtocolError("a second hello on one link")
        version = max((version for version in hello.versions if version in VERSIONS), default=None)
        if version is None:
            self._refuse_versions(hello.versions)
            return
        if self._server.closing:
            self.kick("agent_unreachable", "this server is closing")
            return
        sender = self._server.clients.arrived(hello)
        if sender is None:
            self.kick("busy", f"client {hello.client!r} has a link already, or a later epoch was here")
            return
        sender.session = self
        self._sender = sender
        limits = sender.limits
        self.post(encode(Welcome(version, self._server.name, limits.asks_in_flight, limits.message_bytes)))

    def _refuse_versions(self, offered: tuple[int, ...]) -> None:
        theirs, ours = (" ".join(map(str, versions)) for versions in (offered, VERSIONS))
        self.kick(
            Unsupported.code, f"the client speaks version {theirs}, this server {ours}", {"versions": list(VERSIONS)}
        )

    def _ask(self, sender: Sender, ask: Ask) -> None:
        counter = ask.counter
        sender.raise_floor(ask.watermark)
        running = sender.in_flight.get(counter)
        if running is not None:
            sender.counters.repeated_asks += 1
            if running.is_stream:
                self._refuse(counter, OutcomeUnknown("the stream is being sent already; ask anew"))
            else:
                running.join()
            return
        answer = sender.finished.get(counter)
        if answer is not None:
            sender.counters.repeated_asks += 1
            self._outbox.post(answer)
            return
        inbox = self._server.inbox(ask.to)
        if inbox is None:
            self._refuse(counter, NotFound(f"nobody has the name {ask.to!r}", to=ask.to))
            return
        error: KatrioError | None = None
        if counter < sender.floor:
            error = OutcomeUnknown(f"ask {counter} is older than what is remembered")
        elif ask.budget_ms is not None and ask.budget_ms <= 0:
            error = Expired(f"{ask.verb} arrived after its deadline; nothing was done")
        elif len(sender.in_flight) >= sender.limits.asks_in_flight:
            error = Busy(f"{len(sender.in_flight)} asks of this client are in flight; nothing was done")
        elif not self._server.clients.has_room(sender, Request.cost(ask.args, sender)):
            error = Busy(
                "this server holds as much for its clients as it may, and enough of it for you; nothing was done"
            )
        elif 0 < ask.window < MIN_WINDOW:
            error = InvalidArgument(f"a window of {ask.window} bytes; {MIN_WINDOW} is the least", field="window")
        if error is not None:
            self._refuse(counter, error)
            return
        deadline = inf if ask.budget_ms is None else trio.current_time() + ask.budget_ms / 1000
        request = Request(sender, counter, to=ask.to, verb=ask.verb, args=ask.args, deadline=deadline,
                    window=min(ask.window, sender.limits.largest_window_bytes), trace=ask.trace)  # fmt: skip
        sender.in_flight[counter] = request
        inbox.put(request)

    def _refuse(self, counter: int, error: KatrioError) -> None:
        self._server.counters.refused_asks += 1
        self._outbox.post(encode_failure(counter, error))
