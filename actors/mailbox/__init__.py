"""Mailboxes over any message transport: asks, streams and events, each at most once, all bounded.

`Hub` serves names, `Inbox` and `Mail` are an actor's side, `Courier` is a client's. Not for verbs: what an ask
means is between its sender and the actor.
"""

from __future__ import annotations

from actors.mailbox.courier import Courier, Unset, open_courier
from actors.mailbox.deadlines import checked_seconds
from actors.mailbox.hub import Hub
from actors.mailbox.inbox import Inbox
from actors.mailbox.mail import Mail
from actors.mailbox.sender import Counters
from actors.mailbox.stream import AskStream, EventPart, EventStream, StreamPart

__all__ = [
    "AskStream",
    "Counters",
    "Courier",
    "EventPart",
    "EventStream",
    "Hub",
    "Inbox",
    "Mail",
    "StreamPart",
    "Unset",
    "checked_seconds",
    "open_courier",
]
