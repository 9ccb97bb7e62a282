"""A ttRPC client and server under Trio, in virtual time over memory streams, and over real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
import trio.testing

from tests.support.calls import client_on, connect, failure_of, request, responses, server_of
from transports.errors import (
    EndpointBroken,
    EndpointClosed,
    RemoteProtocolError,
    RpcStatusError,
    StatusCode,
    TransportError,
)
from transports.ttrpc.codec import (
    DATA,
    REQUEST,
    RESPONSE,
    encode_frame,
    encode_method,
    encode_request,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MemoryReceiveStream, MemorySendStream, MockClock

    from transports.calls.client import CallClient
    from transports.calls.server import CallContext

    Memory = trio.StapledStream[MemorySendStream, MemoryReceiveStream]


# The two together


async def test_no_deadline_is_infinite_and_the_context_says_what_was_called(autojump_clock: MockClock) -> None:
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


async def test_a_call_in_a_scope_that_is_cancelled_already_sends_nothing(autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        client = await client_on(nursery, near)
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.call("t.S", "Echo", b"x")
        assert scope.cancelled_caught
        await client.aclose()
        assert await far.receive_some() == b""


async def _calls_when(end: Callable[[CallClient, Memory], Awaitable[object]]) -> list[TransportError]:
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


async def test_a_reply_that_arrives_in_the_very_pass_of_the_close_comes_too_late(autojump_clock: MockClock) -> None:
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


async def test_a_reply_that_arrives_in_the_very_pass_of_the_cancel_is_dropped(autojump_clock: MockClock) -> None:
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


async def test_a_handler_that_ends_in_the_very_pass_of_its_client_s_end_is_dropped(autojump_clock: MockClock) -> None:
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


async def test_handlers_are_cancelled_when_their_client_is_gone(autojump_clock: MockClock) -> None:
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


async def test_a_half_close_counts_as_gone_and_nothing_is_answered(autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server_of().serve_stream, far)
        await near.send_all(request(1, "Sleep", b"10"))
        await near.send_eof()
        assert await near.receive_some() == b""


async def test_a_client_that_breaks_the_rules_is_answered_and_served_on(autojump_clock: MockClock) -> None:
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
