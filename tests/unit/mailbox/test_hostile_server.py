"""What a server may do to its clients: nothing but end their link with a reason, or answer what can't be read."""

from __future__ import annotations

import tracemalloc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from actors.errors import AgentError, AgentProtocolError, KatrioError, OutcomeUnknown
from actors.mailbox import AskStream, Client
from actors.nurseries import open_collapsing_nursery
from actors.wire.codec import decode_envelope, encode
from actors.wire.envelope import Ask, Hello, Welcome
from tests.support.foreign import packb
from transports.errors import Unreachable
from transports.memory import MemoryTransport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from transports.base import Endpoint, Receiver
    from transports.errors import TransportError

SERVER = "memory://hostile"
NOTHING: dict[str, object] = {}


class HostileHub:
    """Welcomes, then says to each ask what the test wants."""

    def __init__(self, *messages: bytes, welcome: bytes | None = None) -> None:
        self.messages = messages
        self.welcome = encode(Welcome(1, "hostile", 256, 65536)) if welcome is None else welcome
        self.links = 0

    def accept(self, endpoint: Endpoint) -> Receiver:
        self.links += 1
        return _Answering(self, endpoint)


class _Answering:
    def __init__(self, server: HostileHub, endpoint: Endpoint) -> None:
        self._server, self._endpoint = server, endpoint

    def received(self, message: bytes) -> None:
        envelope = decode_envelope(message)
        if isinstance(envelope, Hello):
            self._endpoint.send_nowait(self._server.welcome)
        elif isinstance(envelope, Ask):
            for answer in self._server.messages:
                self._endpoint.send_nowait(answer)

    def gone(self, cause: TransportError | None) -> None:
        pass


@asynccontextmanager
async def a_client_of(server: HostileHub) -> AsyncGenerator[Client]:
    transport = MemoryTransport()
    async with open_collapsing_nursery() as nursery:
        await nursery.start(transport.serve, SERVER, server.accept)
        client = Client(transport, SERVER, client_id="c", epoch=1)
        await nursery.start(client.run)
        yield client
        nursery.cancel_scope.cancel()


# counter 1 is the ask's
BROKEN = {
    "no envelope": b"\xc1",
    "truncated": packb(["reply", 1, NOTHING])[:-1],
    "trailing": packb(["reply", 1, NOTHING]) + b"\0",
    "very deep": b"\x93\xa5reply\x01" + b"\x91" * 60_000 + b"\xc0",
    "an ask": packb(["ask", 1, "", "info", NOTHING, None, 1]),
    "a second welcome": packb(["welcome", 1, "x", 1, 1]),
    "a chunk for what is no stream": packb(["chunk", 1, 0, b"x"]),
    "a negative counter": packb(["reply", -1, NOTHING]),
}


@pytest.mark.parametrize("message", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_rule_ends_the_link_and_another_is_made(message: bytes, autojump_clock: MockClock) -> None:
    server = HostileHub(message)
    async with a_client_of(server) as client:
        with pytest.raises(OutcomeUnknown, match="broke the protocol"):
            await client.ask("box", "work", {}, dict)
        await trio.sleep(1)
        assert server.links == 2


@pytest.mark.parametrize(
    "result",
    [
        b"\xdc\xf0\x00" + b"\x90" * 0xF000,
        b"\x82\xa1a\x01\xa1a\x02",
        packb({"a": float("nan")}),
        b"\x81\x01\x01",
        b"\x07",
    ],
    ids=["amplifying", "duplicate keys", "nan", "number as key", "no map"],
)
async def test_a_result_that_can_not_be_is_the_servers_fault_and_costs_little(
    result: bytes, autojump_clock: MockClock
) -> None:
    server = HostileHub(b"\x93" + packb("reply") + packb(1) + result)
    async with a_client_of(server) as client:
        tracemalloc.start()
        try:
            with pytest.raises(AgentProtocolError, match="can't be read"):
                await client.ask("box", "work", {}, dict[str, Any])
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2 * 1024 * 1024
        assert server.links == 1


async def test_a_failure_of_a_code_that_nobody_knows_keeps_the_code_and_loses_bad_details(
    autojump_clock: MockClock,
) -> None:
    server = HostileHub(b"\x95" + b"".join(map(packb, ("failure", 1, "on_fire", "help"))) + b"\x82\xa1a\x01\xa1a\x02")
    async with a_client_of(server) as client:
        with pytest.raises(AgentError, match="help") as caught:
            await client.ask("box", "work", {}, dict)
        assert caught.value.details == {"status": "on_fire"}


async def test_answers_to_what_was_not_asked_are_counted_and_answer_nobody(autojump_clock: MockClock) -> None:
    forged = [packb([kind, 77, *rest]) for kind, *rest in (("reply", NOTHING), ("chunk", 0, b"x"), ("event", 0, {}))]
    server = HostileHub(*forged, packb(["reply", 1, {"n": 1}]))
    async with a_client_of(server) as client:
        assert await client.ask("box", "work", {}, dict[str, int]) == {"n": 1}
        assert client.late == 3


async def test_more_of_a_stream_than_there_was_credit_for_ends_the_link(autojump_clock: MockClock) -> None:
    server = HostileHub(*(packb(["chunk", 1, number * 50_000, bytes(50_000)]) for number in range(3)))
    async with (
        a_client_of(server) as client,
        client.open_stream("box", "read", {}, window_bytes=64 * 1024) as stream,
    ):
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(OutcomeUnknown, match="credit"):
            await _drain(stream)


async def _drain(stream: AskStream) -> None:
    async for _ in stream:
        pass


@pytest.mark.parametrize(
    "welcome",
    [b"\xc1", packb(["welcome", 99, "x", 1, 1]), packb(["reply", 1, NOTHING]), packb(["goodbye", "internal", "no"])],
    ids=["no envelope", "a version that was not offered", "an answer", "a goodbye"],
)
async def test_what_does_not_welcome_is_no_server(welcome: bytes, autojump_clock: MockClock) -> None:
    with pytest.raises((Unreachable, KatrioError)):
        async with a_client_of(HostileHub(welcome=welcome)):
            pytest.fail("it is not welcome")
