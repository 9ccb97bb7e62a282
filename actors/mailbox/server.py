"""The server side of mailboxes: names and links.

Theory of operation. A link is an endpoint, a `Session` (envelopes in) and an `Outbox` (answers out). A client says hello within
a bound and becomes a `Sender`, which outlives its links: it remembers which asks ran and what came of them, so that none runs
twice (`sender`). An ask is looked up by name and put into that actor's `Inbox`; the actor answers through its `Request`.

Who waits for whom: nobody here waits for anybody. Envelopes are handled in the transport's task, synchronously: an ask goes into
an inbox, beyond its capacity to stand there until its deadline; an answer that the link can't take goes into the outbox, whose
bound ends the link of a client that does not read. So a slow actor holds up its askers alone, and a slow client itself alone.
Two kinds of tasks run in `run`'s nursery: the one that keeps deadlines, and one for each outbox while it is not empty.

Not for what an actor does with its requests.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from actors.errors import AlreadyExists, NotFound
from actors.limits import DEFAULT_LIMITS, Limits
from actors.mailbox.clients import Clients
from actors.mailbox.deadlines import Deadlines
from actors.mailbox.inbox import Inbox
from actors.mailbox.outbox import Outbox
from actors.mailbox.sender import Counters
from actors.mailbox.session import Session
from actors.nurseries import Background
from transports.plain import printable

if TYPE_CHECKING:
    from transports.base import Endpoint, Receiver

__all__ = ["Server"]

_log = logging.getLogger("katrio")


class Server:
    """Mailboxes by name. Give `accept` to `Transport.serve`, and run `run` beside it.

    Args:
        name: how this server calls itself to its clients.
        limits: bounds for every client.

    Attributes:
        clients: who is known to it.
        closing: whether new clients are turned away.
    """

    def __init__(self, name: str = "katrio", limits: Limits = DEFAULT_LIMITS) -> None:
        self.name = name
        self.counters = Counters()
        self._limits = limits
        self._deadlines = Deadlines()
        self.clients = Clients(limits, self.counters)
        self._inboxes: dict[str, Inbox] = {}
        self._endpoints: dict[Session, Endpoint] = {}
        self.closing = False
        self._background = Background()

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
        """Forget the name; requests that wait there, and later ones, are answered `not_found`. Unknown names are no errors."""
        inbox = self._inboxes.pop(name, None)
        if inbox is not None:
            for request in inbox.close():
                request.fail(
                    NotFound(f"{name!r} went away before it took up {request.verb}; nothing was done", to=name)
                )

    def accept(self, endpoint: Endpoint) -> Receiver:
        """A link of a new client, which has yet to say who it is."""
        outbox = Outbox(
            endpoint,
            backlog_bytes=self._limits.backlog_bytes,
            account=self.clients.account(),
            drain_soon=self._drain_soon,
            overflow=lambda: session.kick("resource_exhausted", "the client does not read its answers"),
        )
        session = Session(self, outbox)
        self._endpoints[session] = endpoint
        self._deadlines.add(trio.current_time() + self._limits.hello_seconds, session)
        return session

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep deadlines and send what has to wait, until cancelled."""
        async with self._background.open():
            task_status.started()
            await self._deadlines.run()

    async def aclose(self) -> None:
        """Say goodbye to every client, after what is queued for it; new ones are turned away. Bounded by the transport."""
        self.closing = True
        async with trio.open_nursery() as nursery:
            for session, endpoint in list(self._endpoints.items()):
                session.say_goodbye("", "this server is closing")
                nursery.start_soon(endpoint.aclose)

    # for sessions

    def inbox(self, name: str) -> Inbox | None:
        """The mailbox of that name."""
        return self._inboxes.get(name)

    def close_soon(self, session: Session, reason: str) -> None:
        """Close a link that can't be trusted any more."""
        self.counters.kicked_links += 1
        endpoint = self._endpoints.pop(session)
        _log.warning("closing the link of %s: %s", endpoint.peer, printable(reason))
        self._background.start_soon(endpoint.aclose)

    def ended(self, session: Session) -> None:
        """The link has ended."""
        self._endpoints.pop(session, None)

    def _drain_soon(self, outbox: Outbox) -> None:
        self._background.start_soon(outbox.drain)
