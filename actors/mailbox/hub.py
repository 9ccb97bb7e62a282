"""The server side of mailboxes: names, links, and who may still be asked for again.

One hub per process or sandbox serves any number of names over any number of transports. Not for what an
actor does with its mail.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from actors.errors import AlreadyExists, NotFound
from actors.limits import DEFAULT_LIMITS, Limits
from actors.mailbox.deadlines import Deadlines
from actors.mailbox.inbox import Inbox
from actors.mailbox.outbox import Outbox
from actors.mailbox.sender import Counters, Sender
from actors.mailbox.session import Session
from transports.plain import printable
from transports.shared_bound import SharedBound

if TYPE_CHECKING:
    from actors.wire.envelope import Hello
    from transports.base import Endpoint, Receiver

__all__ = ["Hub"]

# so many times what another asks for is held by a client that is closed for it
MUCH_MORE = 8

_log = logging.getLogger(__name__)


class Hub:
    """Mailboxes by name. Give `accept` to `Transport.serve`, and run `run` beside it.

    Args:
        name: how this hub calls itself to its clients.
        limits: bounds for every client.

    Attributes:
        closing: whether new clients are turned away.
    """

    def __init__(self, name: str = "katrio", limits: Limits = DEFAULT_LIMITS) -> None:
        self.name = name
        self.counters = Counters()
        self._limits = limits
        self._deadlines = Deadlines()
        self._memory = SharedBound(limits.hub_bytes)
        self._inboxes: dict[str, Inbox] = {}
        self._senders: dict[str, Sender] = {}
        # names of clients without a link, the longest gone first
        self._departed: dict[str, None] = {}
        self._endpoints: dict[Session, Endpoint] = {}
        self.closing = False
        self._nursery: trio.Nursery | None = None

    def register(self, name: str, *, capacity: int | None = None) -> Inbox:
        """A mailbox of that name; `capacity` asks may wait in it (default: the limits').

        Raises:
            AlreadyExists: the name is taken.
        """
        if name in self._inboxes:
            raise AlreadyExists(f"the name {name!r} is taken", to=name)
        inbox = Inbox(name, capacity=capacity or self._limits.inbox_messages, deadlines=self._deadlines)
        self._inboxes[name] = inbox
        return inbox

    def unregister(self, name: str) -> None:
        """Forget the name; mail that waits there, and later mail, is answered `not_found`. Unknown names are fine."""
        inbox = self._inboxes.pop(name, None)
        if inbox is not None:
            for mail in inbox.close():
                mail.fail(NotFound(f"{name!r} went away before it took up {mail.verb}; nothing was done", to=name))

    def accept(self, endpoint: Endpoint) -> Receiver:
        """A link of a new client, which has yet to say who it is."""
        outbox = Outbox(
            endpoint,
            backlog_bytes=self._limits.backlog_bytes,
            account=self._memory.account(),
            drain_soon=self._drain_soon,
            overflow=lambda: session.kick("resource_exhausted", "the client does not read its answers"),
        )
        session = Session(self, outbox)
        self._endpoints[session] = endpoint
        self._deadlines.add(trio.current_time() + self._limits.hello_seconds, session)
        return session

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep deadlines and send what has to wait, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await self._deadlines.run()

    async def aclose(self) -> None:
        """Say goodbye to every client, after what is queued for it; new ones are turned away. Bounded by the transport."""
        self.closing = True
        async with trio.open_nursery() as nursery:
            for session, endpoint in list(self._endpoints.items()):
                session.say_goodbye("", "this hub is closing")
                nursery.start_soon(endpoint.aclose)

    # for sessions

    def inbox(self, name: str) -> Inbox | None:
        """The mailbox of that name."""
        return self._inboxes.get(name)

    def arrived(self, hello: Hello) -> Sender | None:
        """What is remembered of a client; None when it may not have this link."""
        sender = self._senders.get(hello.client)
        if sender is not None and (sender.session is not None or sender.epoch > hello.epoch):
            return None
        self._departed.pop(hello.client, None)
        if sender is None or sender.epoch != hello.epoch:
            if sender is not None:
                sender.forget_answers()
            sender = Sender(
                hello.client,
                hello.epoch,
                unused=hello.unused,
                limits=self._limits,
                counters=self.counters,
                account=self._memory.account(),
            )
            self._senders[hello.client] = sender
        return sender

    def has_room(self, sender: Sender, size: int) -> bool:
        """Whether the hub may hold `size` bytes more for this client.

        Who holds little is not refused for others' sake: those without a link are forgotten, and then the link of the
        one that holds the most is closed.
        """
        account = sender.account
        while self._departed and not account.allows(size):
            self._forget_departed()
        if account.allows(size):
            return True
        largest = max(
            (other for other in self._senders.values() if other.session is not None and not other.session.closing),
            key=lambda other: other.account.held,
        )
        if largest.account.held < MUCH_MORE * (account.held + size):
            return False
        assert largest.session is not None
        largest.session.kick(
            "resource_exhausted", "this hub holds too much for this client, and others want some of it"
        )
        return True

    def departed(self, sender: Sender) -> None:
        """The client's link has ended; remember the client for a while."""
        sender.session = None
        self._departed[sender.client] = None
        if len(self._departed) > self._limits.departed_clients:
            self._forget_departed()

    def _forget_departed(self) -> None:
        """The one that has been gone the longest."""
        oldest = next(iter(self._departed))
        del self._departed[oldest]
        self._senders.pop(oldest).forget_answers()

    def close_soon(self, session: Session, reason: str) -> None:
        """Close a link that can't be trusted any more."""
        self.counters.kicked_links += 1
        endpoint = self._endpoints.pop(session)
        _log.warning("closing the link of %s: %s", endpoint.peer, printable(reason))
        if self._nursery is not None:
            self._nursery.start_soon(endpoint.aclose)

    def ended(self, session: Session) -> None:
        """The link has ended."""
        self._endpoints.pop(session, None)

    def _drain_soon(self, outbox: Outbox) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(outbox.drain)
