"""Mailboxes over any message transport: asks, streams and events, each at most once, all bounded.

`Server` serves names, `Inbox` and `Request` are an actor's side, `Client` is a client's. Not for verbs: what an ask
means is between its sender and the actor.
"""

from __future__ import annotations

from actors.mailbox.client import Client, Unset, open_client
from actors.mailbox.deadlines import checked_seconds
from actors.mailbox.inbox import Inbox
from actors.mailbox.request import Request
from actors.mailbox.sender import Counters
from actors.mailbox.server import Server
from actors.mailbox.stream import AskStream, EventPart, EventStream, StreamPart

__all__ = [
    "AskStream",
    "Client",
    "Counters",
    "EventPart",
    "EventStream",
    "Inbox",
    "Request",
    "Server",
    "StreamPart",
    "Unset",
    "checked_seconds",
    "open_client",
]
