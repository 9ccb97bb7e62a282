"""What many clients of one server make it hold together: messages begun and never ended, arguments of calls without end.

In virtual time, over each protocol that carries calls.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tests.support.calls import PROTOCOLS, client_on, connect, failure_of, server_of
from transports.calls.incoming import FIRST, PATIENCE_SECONDS, SMALL_BYTES
from transports.errors import RpcStatusError, StatusCode
from transports.grpc.calling import ClientConnection as GrpcClientConnection
from transports.grpc.gate import DATA, HEADER_BYTES, PREFACE
from transports.ttrpc.connection import ClientConnection as TtrpcClientConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from transports.calls.connection import CallingConnection
    from transports.calls.server import CallServer

KIB = 1024
BOUND = 512 * KIB
CONNECTIONS: dict[str, Callable[[], CallingConnection]] = {
    "ttrpc": TtrpcClientConnection,
    "grpc": lambda: GrpcClientConnection(trio.current_time),
}
# of a message of 60 KiB; "headers" of many calls without a message, which gRPC alone has
BEGUN = [("ttrpc", "message"), ("grpc", "message"), ("grpc", "headers")]


class _Silent:
    """A client that begins a message and says nothing more."""

    def __init__(self, server: CallServer, nursery: trio.Nursery, word: str, kind: str) -> None:
        self.stream, far = trio.testing.memory_stream_pair()
        nursery.start_soon(server.serve_stream, far)
        self.connection = CONNECTIONS[word]()
        self.calls = [self._begin(kind) for _ in range(60 if kind == "headers" else 1)]
        data = self.connection.data_to_send()
        self.data = _without_data_frames(data) if kind == "headers" else data[:-1]
        self.sent = 0

    def _begin(self, kind: str) -> int:
        method = "Echo" + "o" * 1000 if kind == "headers" else "Echo"
        return self.connection.send_request("t.S", method, bytes(1 if kind == "headers" else 60 * KIB))

    async def send(self, size: int) -> None:
        with suppress(trio.BrokenResourceError):  # it was ended
            await self.stream.send_all(self.data[self.sent : self.sent + size])
        self.sent += size

    async def told(self) -> str:
        """What is said to it before its link ends."""
        said = ""
        async for data in self.stream:
            for reply in self.connection.receive_data(bytes(data)):
                assert reply.code == StatusCode.RESOURCE_EXHAUSTED
                said += reply.message
        return said + str(self.connection.failure or self.connection.leaving or "")


def _without_data_frames(http2: bytes) -> bytes:
    kept, at = http2[: len(PREFACE)], len(PREFACE)
    while at < len(http2):
        end = at + HEADER_BYTES + int.from_bytes(http2[at : at + 3])
        kept += http2[at:end] if http2[at + 3] != DATA else b""
        at = end
    return kept


@pytest.mark.parametrize("word", PROTOCOLS)
async def test_half_messages_of_many_links_are_bounded_together_and_a_neighbour_is_answered(
    word: str, autojump_clock: MockClock
) -> None:
    server = server_of(protocol=PROTOCOLS[word])
    bound = server.incoming.unfinished
    bound.most = BOUND
    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server)
        silent = [_Silent(server, nursery, word, "message") for _ in range(40)]
        for _ in range(16):
            for link in silent:
                await link.send(4 * KIB)
            await trio.testing.wait_all_tasks_blocked()
            assert bound.held <= BOUND + FIRST * 60 * KIB + (len(silent) + 1) * SMALL_BYTES
        assert bound.held >= BOUND
        began = trio.current_time()
        assert await client.call("t.S", "Echo", b"small") == b"small"
        assert trio.current_time() == began
        # one that needs room makes those go that have been unfinished for too long
        assert await client.call("t.S", "Echo", bytes(100 * KIB)) == bytes(100 * KIB)
        assert trio.current_time() <= began + PATIENCE_SECONDS + 1
        assert "others need the room" in await silent[0].told()
        await client.aclose()
        nursery.cancel_scope.cancel()
    assert (bound.held, server.incoming.links) == (0, 0)


@pytest.mark.parametrize(("word", "kind"), BEGUN)
async def test_a_slow_message_has_its_time_where_nobody_needs_the_room(
    word: str, kind: str, autojump_clock: MockClock
) -> None:
    server = server_of(protocol=PROTOCOLS[word])
    async with trio.open_nursery() as nursery:
        slow = _Silent(server, nursery, word, kind)
        await slow.send(len(slow.data))
        await trio.sleep(1000 * PATIENCE_SECONDS)
        # its headers count as well
        assert server.incoming.unfinished.held > 50 * KIB
        server.incoming.unfinished.most = 64 * KIB
        for _ in range(2 * FIRST):
            hungry = _Silent(server, nursery, word, kind)
            await hungry.send(20 * KIB)
            await trio.testing.wait_all_tasks_blocked()
            await hungry.send(20 * KIB)
        assert "others need the room" in await slow.told()
        nursery.cancel_scope.cancel()


async def test_a_link_that_completes_its_messages_is_ended_for_none_of_them(autojump_clock: MockClock) -> None:
    server = server_of()
    server.incoming.unfinished.most = 64 * KIB
    async with trio.open_nursery() as nursery:
        near, far = trio.testing.memory_stream_pair()
        nursery.start_soon(server.serve_stream, far)
        busy = TtrpcClientConnection()
        for _ in range(20):
            busy.send_request("t.S", "Echo", bytes(20 * KIB))
        data = busy.data_to_send()
        hungry = [_Silent(server, nursery, "ttrpc", "message") for _ in range(2 * FIRST)]
        # always in the midst of a message, and of each for a second
        for at in range(0, len(data), 10 * KIB):
            await near.send_all(data[at : at + 10 * KIB])
            for link in hungry:
                await link.send(3 * KIB)
            await trio.sleep(PATIENCE_SECONDS / 4)
        answers = 0
        while answers < 20:
            answers += len(busy.receive_data(bytes(await near.receive_some())))
        nursery.cancel_scope.cancel()


async def test_arguments_of_calls_in_progress_are_bounded_for_all_links_together(
    autojump_clock: MockClock,
) -> None:
    for protocol in PROTOCOLS.values():
        server = server_of(protocol=protocol)
        server.incoming.arguments.most = BOUND
        async with trio.open_nursery() as nursery:
            near, far = trio.testing.memory_stream_pair()
            nursery.start_soon(server.serve_stream, far)
            greedy = await client_on(nursery, near, protocol)
            neighbour = await connect(nursery, server)
            refused: list[RpcStatusError] = []

            async def hold(greedy: object = greedy, refused: list[RpcStatusError] = refused) -> None:
                error = await failure_of(lambda: greedy.call("t.S", "Never", bytes(40 * KIB)))  # type: ignore[attr-defined]
                if isinstance(error, RpcStatusError):
                    refused.append(error)

            for _ in range(20):
                nursery.start_soon(hold)
            await trio.testing.wait_all_tasks_blocked()
            assert {error.code for error in refused} == {StatusCode.RESOURCE_EXHAUSTED}
            # half of it, as it alone holds something; the rest is there for others
            assert server.incoming.arguments.held == 6 * 40 * KIB
            assert await neighbour.call("t.S", "Echo", bytes(100 * KIB)) == bytes(100 * KIB)
            await greedy.aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert server.incoming.arguments.held == 0
            await neighbour.aclose()
