"""An agent that takes no more calls on a connection: what of the calls is undone, and what may have been done. In virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
import trio.testing

from tests.support.calls import GRPC, client_on, failure_of
from tests.support.grpc_bytes import SETTINGS, Peer, goaway
from transports.calls.client import LEAVING_SECONDS
from transports.errors import EndpointBroken, RpcStatusError, StatusCode, Unreachable

if TYPE_CHECKING:
    from trio.testing import MockClock

    from transports.errors import TransportError


async def test_a_call_that_the_agent_may_have_done_is_not_told_as_undone(autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    errors: dict[str, TransportError] = {}
    async with trio.open_nursery() as nursery:
        client = await client_on(nursery, near, GRPC)

        async def call(name: str) -> None:
            errors[name] = await failure_of(lambda: client.call("t.S", name, b""))

        await far.send_all(SETTINGS)
        for name in ("First", "Second"):
            nursery.start_soon(call, name)
            await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        # the last that it looks at is the first
        await far.send_all(goaway(1))
        await trio.testing.wait_all_tasks_blocked()
        assert not client.accepting
        await call("Third")
        assert list(errors) == ["Second", "Third"]
        assert isinstance(errors["Second"], RpcStatusError)
        assert errors["Second"].code == StatusCode.UNAVAILABLE
        assert isinstance(errors["Third"], Unreachable)
        # the first may be under way: it is waited for, and then nobody knows
        await trio.sleep(LEAVING_SECONDS + 1)
        assert type(errors["First"]) is EndpointBroken
        assert "no more calls" in str(errors["First"])
        assert isinstance(client.ended, EndpointBroken)
    assert trio.current_time() - began == LEAVING_SECONDS + 1


async def test_a_reply_that_comes_meanwhile_counts_and_ends_the_connection(autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    replies: list[bytes] = []
    async with trio.open_nursery() as nursery:
        client = await client_on(nursery, near, GRPC)

        async def call() -> None:
            replies.append(await client.call("t.S", "First", b""))

        nursery.start_soon(call)
        await far.send_all(SETTINGS)
        await trio.testing.wait_all_tasks_blocked()
        await far.send_all(goaway(1))
        await trio.sleep(1)
        assert client.ended is None
        await far.send_all(Peer().answer(1, b"done"))
        await trio.testing.wait_all_tasks_blocked()
        assert replies == [b"done"]
        assert isinstance(client.ended, EndpointBroken)
