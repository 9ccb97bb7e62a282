"""A server that is served, clients made by hand, and clients, for the tests of mailboxes.

Over the in-memory transport unless told otherwise. A peer made by hand takes the client's place where the envelopes
themselves matter.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
import trio.testing

from actors.errors import (
    AgentUnreachable,
    Busy,
    Expired,
    OutcomeUnknown,
)
from actors.limits import DEFAULT_LIMITS, Limits
from actors.mailbox import Client, Inbox, Server, open_client
from actors.wire.codec import decode_envelope, encode, encode_raw
from actors.wire.envelope import (
    VERSIONS,
    Ask,
    Envelope,
    Failure,
    Hello,
)
from transports.memory import MemoryTransport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from transports.base import Endpoint, Transport
    from transports.errors import TransportError

SERVER = "memory://server"


class Peer:
    """A client made by hand: sends what it likes, keeps what it gets."""

    endpoint: Endpoint

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.ended = False

    def received(self, message: bytes) -> None:
        self.envelopes.append(decode_envelope(message))

    def gone(self, cause: TransportError | None) -> None:
        self.ended = True

    async def say(self, *envelopes: Envelope) -> list[Envelope]:
        """Send these; what came back by the time nothing moves any more."""
        del self.envelopes[:]
        for envelope in envelopes:
            await self.endpoint.send(encode(envelope))
        await trio.testing.wait_all_tasks_blocked()
        return self.envelopes


class Office:
    """A server that is served, and what the actor `box` was sent."""

    def __init__(self, transport: Transport, address: str, nursery: trio.Nursery, limits: Limits) -> None:
        self.transport, self.address, self.nursery = transport, address, nursery
        self.server = Server(limits=limits)
        self.inbox: Inbox = self.server.register("box")

    async def stranger(self) -> Peer:
        """One that has not said hello yet."""
        peer = Peer()
        peer.endpoint = await self.nursery.start(self.transport.connect, self.address, peer)
        return peer

    async def peer(self, client_id: str = "hand", *, epoch: int = 1, unused: int = 1) -> Peer:
        peer = await self.stranger()
        await peer.say(Hello(VERSIONS, client_id, epoch, unused))
        return peer

    async def answer_all(self) -> None:
        while True:
            request = await self.inbox.receive()
            request.answer({"verb": request.verb})


@asynccontextmanager
async def an_office(
    transport: Transport | None = None, address: str = SERVER, limits: Limits = DEFAULT_LIMITS
) -> AsyncGenerator[Office]:
    transport = transport or MemoryTransport()
    async with trio.open_nursery() as nursery:
        office = Office(transport, address, nursery, limits)
        await nursery.start(office.server.run)
        await nursery.start(transport.serve, address, office.server.accept)
        yield office
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def asking(limits: Limits = DEFAULT_LIMITS) -> AsyncGenerator[tuple[Office, Client]]:
    async with (
        an_office(limits=limits) as office,
        open_client(office.transport, SERVER, client_id="c", epoch=1) as client,
    ):
        yield office, client


def an_ask(counter: int, *, budget_ms: int | None = None, watermark: int = 1, window: int = 0, to: str = "box") -> Ask:
    return Ask(counter, to, "work", encode_raw({}), budget_ms, watermark, window)


def failure_code(envelopes: list[Envelope]) -> str:
    (failure,) = envelopes
    assert isinstance(failure, Failure)
    return failure.code


async def ask_and_keep(client: Client, results: list[object], *, timeout: float | None = None) -> None:
    try:
        results.append(await client.ask("box", "work", {}, dict[str, Any], timeout=timeout))
    except (AgentUnreachable, Busy, Expired, OutcomeUnknown) as error:
        results.append(type(error))
