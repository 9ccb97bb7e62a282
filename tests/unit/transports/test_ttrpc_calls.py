"""A ttRPC client and server under Trio, in virtual time over memory streams, and over real sockets."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tests.support.ttrpc import Errors, client_on, connect, failure_of, never, request, responses, server_of
from transports.errors import (
    EndpointBroken,
    EndpointClosed,
    LocalProtocolError,
    MessageTooLarge,
    RemoteProtocolError,
    RpcStatusError,
    StatusCode,
    TransportError,
)
from transports.stream import SocketStream
from transports.ttrpc.codec import (
    DATA,
    MAX_BODY,
    REQUEST,
    RESPONSE,
    encode_frame,
    encode_method,
    encode_request,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MemoryReceiveStream, MemorySendStream, MockClock

    from transports.calls.server import CallContext
    from transports.ttrpc.client import TtrpcClient

    Memory = trio.StapledStream[MemorySendStream, MemoryReceiveStream]


# The two together


async def test_a_call_gives_its_reply() -> None:
    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of())
        assert await client.call("t.S", "Echo", b"hello") == b"hello"
        assert await client.call("t.S", "Echo", b"") == b""
        await client.aclose()


async def test_replies_come_as_they_are_ready(autojump_clock: MockClock) -> None:
    done: list[bytes] = []
    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of())

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
async def test_many_calls_of_many_sizes_at_once(*, real: bool) -> None:
    async with trio.open_nursery() as nursery:
        if real:
            near, far = map(SocketStream, socket.socketpair())
            nursery.start_soon(server_of().serve_stream, far)
            client = await client_on(nursery, near)
        else:
            client = await connect(nursery, server_of())

        async def caller(number: int) -> None:
            for turn in range(5):
                payload = bytes((number, turn)) * (7 ** (turn + number % 3))
                assert await client.call("t.S", "Echo", payload) == payload

        async with trio.open_nursery() as callers:
            for number in range(40):
                callers.start_soon(caller, number)
        await client.aclose()


async def test_a_largest_payload_passes_both_ways_over_a_real_socket() -> None:
    async with trio.open_nursery() as nursery:
        near, far = map(SocketStream, socket.socketpair())
        nursery.start_soon(server_of().serve_stream, far)
        client = await client_on(nursery, near)
        payload = bytes(MAX_BODY - 64)
        assert await client.call("t.S", "Echo", payload) == payload
        error = await failure_of(lambda: client.call("t.S", "Echo", bytes(MAX_BODY)))
        assert isinstance(error, MessageTooLarge)
        assert await client.call("t.S", "Echo", b"alive") == b"alive"
        await client.aclose()


@pytest.mark.parametrize(
    ("service", "method", "message"),
    [("t.S", "Nope", "method Nope"), ("t.T", "Echo", "service t.T"), ("t.S", "/Echo", "method /Echo")],
)
async def test_what_nobody_serves_is_answered_12(service: str, method: str, message: str) -> None:
    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of())
        error = await failure_of(lambda: client.call(service, method, b""))
        assert isinstance(error, RpcStatusError)
        assert (error.code, error.message) == (StatusCode.UNIMPLEMENTED, message)
        await client.aclose()


async def test_a_handler_s_failure_is_its_own_and_a_bug_gives_away_its_type_alone() -> None:
    errors: Errors = []

    async def fail(_payload: bytes, _context: CallContext) -> bytes:
        await trio.lowlevel.checkpoint()
        raise RpcStatusError(StatusCode.NOT_FOUND, "no such thing")

    async def bug(_payload: bytes, _context: CallContext) -> bytes:
        await trio.lowlevel.checkpoint()
        raise KeyError("secret")

    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of(errors, Fail=fail, Bug=bug))
        error = await failure_of(lambda: client.call("t.S", "Fail", b""))
        assert str(error) == "NOT_FOUND: no such thing"
        assert errors == []
        error = await failure_of(lambda: client.call("t.S", "Bug", b""))
        assert str(error) == "INTERNAL: KeyError"
        assert [(service, method, type(raised)) for service, method, raised in errors] == [("t.S", "Bug", KeyError)]
        assert await client.call("t.S", "Echo", b"alive") == b"alive"
        await client.aclose()


async def test_a_reply_over_4_mib_is_answered_8_and_the_connection_lives() -> None:
    async def huge(_payload: bytes, _context: CallContext) -> bytes:
        await trio.lowlevel.checkpoint()
        return bytes(MAX_BODY)

    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of(Huge=huge))
        error = await failure_of(lambda: client.call("t.S", "Huge", b""))
        assert isinstance(error, RpcStatusError)
        assert error.code == StatusCode.RESOURCE_EXHAUSTED
        assert await client.call("t.S", "Echo", b"alive") == b"alive"
        await client.aclose()


async def test_the_server_ends_a_call_at_its_deadline_with_4(autojump_clock: MockClock) -> None:
    seen: list[float] = []

    async def look(payload: bytes, context: CallContext) -> bytes:
        seen.append(context.deadline - trio.current_time())
        return await never(payload, context)

    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of(Look=look))
        began = trio.current_time()
        error = await failure_of(lambda: client.call("t.S", "Look", b"", timeout_nano=1_500_000_000))
        assert str(error) == "DEADLINE_EXCEEDED: context deadline exceeded"
        assert seen == [pytest.approx(1.5)]
        assert trio.current_time() - began == pytest.approx(1.5)
        assert await client.call("t.S", "Sleep", b"10", timeout_nano=2**63 - 1) == b"10"
        await client.aclose()


async def test_no_deadline_is_infinite_and_the_context_says_what_was_called() -> None:
    contexts: list[CallContext] = []

    async def look(_payload: bytes, context: CallContext) -> bytes:
        await trio.lowlevel.checkpoint()
        contexts.append(context)
        return b""

    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server_of(Look=look).serve_stream, far)
        body = encode_request(encode_method("t.S", "Look"), b"", 0) + b"\x2a\x06\x0a\x01k\x12\x01v"
        await near.send_all(encode_frame(REQUEST, 1, body))
        assert await responses(near, 1) == [(1, 0, "", b"")]
        nursery.cancel_scope.cancel()
    (context,) = contexts
    assert (context.service, context.method, context.metadata) == ("t.S", "Look", (("k", "v"),))
    assert context.deadline == float("inf")


# A caller that gives up, and connections that end


async def test_a_cancelled_call_forgets_its_id_and_its_late_reply_is_dropped(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of())
        with trio.move_on_after(0.05) as scope:
            await client.call("t.S", "Sleep", b"100")
        assert scope.cancelled_caught
        assert (client.calls_in_flight, client.dropped_replies) == (0, 0)
        await trio.sleep(0.1)
        assert client.dropped_replies == 1
        assert await client.call("t.S", "Echo", b"alive") == b"alive"
        await client.aclose()


async def test_a_call_in_a_scope_that_is_cancelled_already_sends_nothing() -> None:
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        client = await client_on(nursery, near)
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.call("t.S", "Echo", b"x")
        assert scope.cancelled_caught
        await client.aclose()
        assert await far.receive_some() == b""


@pytest.mark.parametrize("nanos", [-1, 2**63])
async def test_a_timeout_out_of_range_is_refused_and_nothing_is_sent(nanos: int) -> None:
    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of())
        error = await failure_of(lambda: client.call("t.S", "Echo", b"", timeout_nano=nanos))
        assert isinstance(error, LocalProtocolError)
        await client.aclose()


async def _calls_when(end: Callable[[TtrpcClient, Memory], Awaitable[object]]) -> list[TransportError]:
    """What three calls in flight, and one made afterwards, raise when the connection ends by `end`."""
    errors: list[TransportError] = []
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        client = await client_on(nursery, near)

        async def call() -> None:
            errors.append(await failure_of(lambda: client.call("t.S", "Never", b"")))

        async with trio.open_nursery() as calls:
            for _ in range(3):
                calls.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            assert client.calls_in_flight == 3
            began = trio.current_time()
            await end(client, far)
        assert trio.current_time() == began
        await call()
        assert type(client.ended) is type(errors[0])
    # `run` has returned, for the nursery has ended
    assert len(set(map(id, errors))) == 4
    return errors


async def test_all_calls_end_at_once_when_the_peer_closes(autojump_clock: MockClock) -> None:
    errors = await _calls_when(lambda _, far: far.aclose())
    assert [type(error) for error in errors] == [EndpointBroken] * 4


async def test_all_calls_end_at_once_when_we_close(autojump_clock: MockClock) -> None:
    errors = await _calls_when(lambda client, _: client.aclose())
    assert [type(error) for error in errors] == [EndpointClosed] * 4


async def test_all_calls_end_at_once_when_the_peer_breaks_the_protocol(autojump_clock: MockClock) -> None:
    errors = await _calls_when(lambda _, far: far.send_all(encode_frame(DATA, 3, b"x")))
    assert [type(error) for error in errors] == [RemoteProtocolError] * 4


async def test_calls_end_when_the_client_s_task_is_cancelled() -> None:
    near, far = trio.testing.memory_stream_pair()
    errors: list[TransportError] = []
    async with far, trio.open_nursery() as outer, trio.open_nursery() as owner:
        client = await client_on(owner, near)

        async def call() -> None:
            errors.append(await failure_of(lambda: client.call("t.S", "Never", b"")))

        outer.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        owner.cancel_scope.cancel()
    assert [type(error) for error in errors] == [EndpointClosed]


async def test_a_reply_that_arrives_in_the_very_pass_of_the_close_comes_too_late() -> None:
    near, _far = trio.testing.memory_stream_pair()
    errors: list[TransportError] = []
    async with trio.open_nursery() as nursery:
        client = await client_on(nursery, near)

        async def call() -> None:
            errors.append(await failure_of(lambda: client.call("t.S", "Echo", b"")))

        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        near.receive_stream.put_data(encode_frame(RESPONSE, 1, b""))
        await client.aclose()
    assert [type(error) for error in errors] == [EndpointClosed]


async def test_a_reply_that_arrives_in_the_very_pass_of_the_cancel_is_dropped() -> None:
    near, _far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        client = await client_on(nursery, near)
        async with trio.open_nursery() as calls:
            calls.start_soon(client.call, "t.S", "Echo", b"")
            await trio.testing.wait_all_tasks_blocked()
            near.receive_stream.put_data(encode_frame(RESPONSE, 1, b""))
            calls.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert (client.calls_in_flight, client.dropped_replies) == (0, 1)
        await client.aclose()


async def test_a_handler_that_ends_in_the_very_pass_of_its_client_s_end_is_dropped() -> None:
    near, far = trio.testing.memory_stream_pair()
    go = trio.Event()

    async def wait(_payload: bytes, _context: CallContext) -> bytes:
        await go.wait()
        return b"too late"

    async with trio.open_nursery() as outer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server_of(Wait=wait).serve_stream, far)
            await near.send_all(b"".join(request(stream_id, "Wait") for stream_id in range(1, 21, 2)))
            await trio.testing.wait_all_tasks_blocked()
            go.set()
            nursery.cancel_scope.cancel()
        outer.cancel_scope.cancel()
    assert await near.receive_some() == b""


async def test_closing_twice_is_fine() -> None:
    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of())
        await client.aclose()
        await client.aclose()
        assert isinstance(client.ended, EndpointClosed)


async def test_handlers_are_cancelled_when_their_client_is_gone() -> None:
    cancelled: list[bytes] = []

    async def wait(payload: bytes, _: CallContext) -> bytes:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(payload)
        raise AssertionError

    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server_of(Wait=wait).serve_stream, far)
        await near.send_all(request(1, "Wait", b"a") + request(3, "Wait", b"b"))
        await trio.testing.wait_all_tasks_blocked()
        assert cancelled == []
        await near.aclose()
    assert sorted(cancelled) == [b"a", b"b"]


async def test_a_half_close_counts_as_gone_and_nothing_is_answered() -> None:
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server_of().serve_stream, far)
        await near.send_all(request(1, "Sleep", b"10"))
        await near.send_eof()
        assert await near.receive_some() == b""


async def test_a_client_that_breaks_the_rules_is_answered_and_served_on() -> None:
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server_of().serve_stream, far)
        await near.send_all(request(2, "Echo") + encode_frame(9, 1, b"?") + request(1, "Echo", b"x"))
        answers = await responses(near, 2)
        assert answers[0][:2] == (2, 3)
        assert answers[1] == (1, 0, "", b"x")
        nursery.cancel_scope.cancel()


async def test_a_call_above_the_bound_is_answered_8(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        client = await connect(nursery, server_of(max_calls=1))
        nursery.start_soon(client.call, "t.S", "Sleep", b"50")
        await trio.testing.wait_all_tasks_blocked()
        error = await failure_of(lambda: client.call("t.S", "Echo", b""))
        assert isinstance(error, RpcStatusError)
        assert error.code == StatusCode.RESOURCE_EXHAUSTED
        await trio.sleep(0.1)
        assert await client.call("t.S", "Echo", b"now") == b"now"
        await client.aclose()
