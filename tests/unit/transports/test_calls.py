"""Calls over each protocol that carries them: what a client and a server do, whatever lies between.

In virtual time over memory streams, and over real sockets. Not for a protocol's own rules: `test_ttrpc_*`, `test_grpc_*`.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tests.support.calls import GRPC, PROTOCOLS, Errors, Protocol, client_on, connect, failure_of, never, server_of
from transports.errors import (
    EndpointClosed,
    LocalProtocolError,
    MessageTooLarge,
    RpcStatusError,
    StatusCode,
    TransportError,
)
from transports.grpc.calling import ClientConnection
from transports.stream import SocketStream
from transports.ttrpc.codec import MAX_BODY

if TYPE_CHECKING:
    from trio.testing import MockClock

    from transports.calls.server import CallContext


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> Protocol:
    """Each protocol that carries calls."""
    return PROTOCOLS[request.param]


async def test_a_call_gives_its_reply(protocol: Protocol, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of(protocol=protocol))
        assert await client.call("t.S", "Echo", b"hello") == b"hello"
        assert await client.call("t.S", "Echo", b"") == b""
        await client.aclose()


async def test_replies_come_as_they_are_ready(protocol: Protocol, autojump_clock: MockClock) -> None:
    done: list[bytes] = []
    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of(protocol=protocol))

        async def call(milliseconds: bytes) -> None:
            done.append(await client.call("t.S", "Sleep", milliseconds))

        began = trio.current_time()
        async with trio.open_nursery() as calls:
            for milliseconds in (b"300", b"10", b"200"):
                calls.start_soon(call, milliseconds)
        assert done == [b"10", b"200", b"300"]
        assert trio.current_time() - began == pytest.approx(0.3)
        assert client.calls_in_flight == 0
        await client.aclose()


@pytest.mark.parametrize("real", [False, True])
async def test_many_calls_of_many_sizes_at_once(protocol: Protocol, *, real: bool, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        if real:
            near, far = map(SocketStream, socket.socketpair())
            nursery.start_soon(server_of(protocol=protocol).serve_stream, far)
            client = await client_on(nursery, near, protocol)
        else:
            client = await connect(nursery, server_of(protocol=protocol))

        async def caller(number: int) -> None:
            for turn in range(5):
                payload = bytes((number, turn)) * (7 ** (turn + number % 3))
                assert await client.call("t.S", "Echo", payload) == payload

        async with trio.open_nursery() as callers:
            for number in range(40):
                callers.start_soon(caller, number)
        await client.aclose()


async def test_a_largest_payload_passes_both_ways_over_a_real_socket(
    protocol: Protocol, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        near, far = map(SocketStream, socket.socketpair())
        nursery.start_soon(server_of(protocol=protocol).serve_stream, far)
        client = await client_on(nursery, near, protocol)
        payload = bytes(MAX_BODY - 64)
        assert await client.call("t.S", "Echo", payload) == payload
        error = await failure_of(lambda: client.call("t.S", "Echo", bytes(MAX_BODY + 1)))
        assert isinstance(error, MessageTooLarge)
        assert await client.call("t.S", "Echo", b"alive") == b"alive"
        await client.aclose()


@pytest.mark.parametrize(
    ("service", "method", "message"),
    [("t.S", "Nope", "method Nope"), ("t.T", "Echo", "service t.T")],
)
async def test_what_nobody_serves_is_answered_12(
    protocol: Protocol, service: str, method: str, message: str, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of(protocol=protocol))
        error = await failure_of(lambda: client.call(service, method, b""))
        assert isinstance(error, RpcStatusError)
        assert (error.code, error.message) == (StatusCode.UNIMPLEMENTED, message)
        await client.aclose()


async def test_a_handler_s_failure_is_its_own_and_a_bug_gives_away_its_type_alone(
    protocol: Protocol, autojump_clock: MockClock
) -> None:
    errors: Errors = []

    async def fail(_payload: bytes, _context: CallContext) -> bytes:
        await trio.lowlevel.checkpoint()
        raise RpcStatusError(StatusCode.NOT_FOUND, "no such thing")

    async def bug(_payload: bytes, _context: CallContext) -> bytes:
        await trio.lowlevel.checkpoint()
        raise KeyError("secret")

    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of(errors, protocol=protocol, Fail=fail, Bug=bug))
        error = await failure_of(lambda: client.call("t.S", "Fail", b""))
        assert str(error) == "NOT_FOUND: no such thing"
        assert errors == []
        error = await failure_of(lambda: client.call("t.S", "Bug", b""))
        assert str(error) == "INTERNAL: KeyError"
        assert [(service, method, type(raised)) for service, method, raised in errors] == [("t.S", "Bug", KeyError)]
        assert await client.call("t.S", "Echo", b"alive") == b"alive"
        await client.aclose()


async def test_a_reply_over_4_mib_is_answered_8_and_the_connection_lives(
    protocol: Protocol, autojump_clock: MockClock
) -> None:
    async def huge(_payload: bytes, _context: CallContext) -> bytes:
        await trio.lowlevel.checkpoint()
        return bytes(MAX_BODY + 1)

    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of(protocol=protocol, Huge=huge))
        error = await failure_of(lambda: client.call("t.S", "Huge", b""))
        assert isinstance(error, RpcStatusError)
        assert error.code == StatusCode.RESOURCE_EXHAUSTED
        assert await client.call("t.S", "Echo", b"alive") == b"alive"
        await client.aclose()


async def test_the_server_ends_a_call_at_its_deadline_with_4(protocol: Protocol, autojump_clock: MockClock) -> None:
    seen: list[float] = []

    async def look(payload: bytes, context: CallContext) -> bytes:
        seen.append(context.deadline - trio.current_time())
        return await never(payload, context)

    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of(protocol=protocol, Look=look))
        began = trio.current_time()
        error = await failure_of(lambda: client.call("t.S", "Look", b"", timeout_nano=1_500_000_000))
        assert str(error) == "DEADLINE_EXCEEDED: context deadline exceeded"
        assert seen == [pytest.approx(1.5)]
        assert trio.current_time() - began == pytest.approx(1.5)
        assert await client.call("t.S", "Sleep", b"10", timeout_nano=2**63 - 1) == b"10"
        await client.aclose()


@pytest.mark.parametrize("nanos", [-1, 2**63])
async def test_a_timeout_out_of_range_is_refused_and_nothing_is_sent(
    protocol: Protocol, nanos: int, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of(protocol=protocol))
        error = await failure_of(lambda: client.call("t.S", "Echo", b"", timeout_nano=nanos))
        assert isinstance(error, LocalProtocolError)
        await client.aclose()


async def test_calls_end_when_the_client_s_task_is_cancelled(protocol: Protocol, autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    errors: list[TransportError] = []
    async with far, trio.open_nursery() as outer, trio.open_nursery() as owner:
        client = await client_on(owner, near, protocol)

        async def call() -> None:
            errors.append(await failure_of(lambda: client.call("t.S", "Never", b"")))

        outer.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        owner.cancel_scope.cancel()
    assert [type(error) for error in errors] == [EndpointClosed]


async def test_closing_twice_is_fine(protocol: Protocol, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of(protocol=protocol))
        await client.aclose()
        await client.aclose()
        assert isinstance(client.ended, EndpointClosed)


async def test_a_call_that_comes_with_its_own_cancel_does_not_wait_for_ever(autojump_clock: MockClock) -> None:
    begun, cancelled = 0, 0

    async def wait(_payload: bytes, _context: CallContext) -> bytes:
        nonlocal begun, cancelled
        begun += 1
        try:
            await trio.sleep_forever()
        finally:
            cancelled += 1
        raise AssertionError

    caller = ClientConnection(lambda: 0.0)
    for _ in range(3):
        caller.forget(caller.send_request("t.S", "Wait", b""))
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server_of(protocol=GRPC, Wait=wait).serve_stream, far)
        await near.send_all(caller.data_to_send())
        await trio.testing.wait_all_tasks_blocked()
        assert begun == cancelled == 3
        nursery.cancel_scope.cancel()
