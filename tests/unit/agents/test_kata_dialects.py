"""What the kata agent's link makes of Kata 1.x: the end of a stream, calls and fields that are not there, servers that leave."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.agents.kata.link import open_rpc_link
from actors.errors import AgentError, AgentProtocolError, AgentUnreachable, NotFound, OutcomeUnknown, Unsupported
from actors.limits import DEFAULT_LIMITS
from actors.schemas import agent as api
from actors.schemas.rpcs import RPCS
from actors.schemas.status import status_from_error
from actors.words import Dialect
from tests.support.grpc_bytes import SETTINGS, Peer, goaway
from transports.errors import RpcStatusError, StatusCode
from transports.grpc.server import GrpcServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from trio.testing import MockClock

    from actors.agents.kata.rpclink import RpcLink
    from transports.calls.server import CallContext, Handler


@asynccontextmanager
async def linked(serve: Callable[[trio.abc.Stream], Awaitable[None]]) -> AsyncGenerator[RpcLink]:
    async with trio.open_nursery() as nursery:

        async def dial() -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            near, far = trio.testing.memory_stream_pair()
            nursery.start_soon(serve, far)
            return near

        link = open_rpc_link(dial, DEFAULT_LIMITS, Dialect.GRPC)
        await nursery.start(link.run)
        yield link
        nursery.cancel_scope.cancel()


def failing(code: int, message: str, details: tuple[bytes, ...] = ()) -> Callable[[trio.abc.Stream], Awaitable[None]]:
    """An agent that answers everything so."""

    async def fail(_payload: bytes, _context: CallContext) -> bytes:
        await trio.lowlevel.checkpoint()
        raise RpcStatusError(code, message, details)

    handlers: dict[tuple[str, str], Handler] = {(rpc.service, name): fail for name, rpc in RPCS.items()}
    return GrpcServer(handlers, on_error=lambda _service, _method, _error: None).serve_stream


@pytest.mark.parametrize("method", ["ReadStdout", "ReadStderr"])
async def test_the_words_of_an_end_are_an_end(method: str, autojump_clock: MockClock) -> None:
    async with linked(failing(StatusCode.UNKNOWN, "EOF")) as link:
        assert await link.call(RPCS[method], RPCS[method].request()) == api.ReadStreamResponse()
        with pytest.raises(AgentError):
            await link.call(RPCS["WaitProcess"], api.WaitProcessRequest())


async def test_other_words_are_none(autojump_clock: MockClock) -> None:
    async with linked(failing(StatusCode.UNKNOWN, "read |0: file already closed")) as link:
        with pytest.raises(AgentError, match="already closed"):
            await link.call(RPCS["ReadStdout"], api.ReadStdoutRequest())


async def test_an_error_s_details_travel(autojump_clock: MockClock) -> None:
    code, message, details = status_from_error(NotFound("no such container", container="one", field="container_id"))
    async with linked(failing(code, message, details)) as link:
        with pytest.raises(NotFound) as caught:
            await link.call(RPCS["StartContainer"], api.StartContainerRequest())
    assert caught.value.details == {"container": "one", "field": "container_id"}


async def test_what_1_x_has_not_got_is_refused_and_not_sent(autojump_clock: MockClock) -> None:
    async with linked(failing(StatusCode.INTERNAL, "it was sent")) as link:
        with pytest.raises(Unsupported, match="GetMetrics: the grpc dialect"):
            await link.call(RPCS["GetMetrics"], api.GetMetricsRequest())
        with pytest.raises(Unsupported) as caught:
            await link.call(RPCS["CreateContainer"], api.CreateContainerRequest(stdout_port=7))
        assert caught.value.details["field"] == "grpc.CreateContainerRequest.stdout_port"


async def test_an_agent_that_leaves_is_dialled_again(autojump_clock: MockClock) -> None:
    """Calls that it did not look at are told so; the next ones go to its successor."""
    served = 0

    async def leave(stream: trio.abc.Stream) -> None:
        nonlocal served
        served += 1
        if served > 1:
            await failing(StatusCode.NOT_FOUND, "the second one")(stream)
            return
        await stream.send_all(SETTINGS)
        await trio.sleep(1)
        await stream.send_all(goaway(0, 0, b"restarting"))
        await trio.sleep_forever()

    async with linked(leave) as link:
        with pytest.raises(AgentUnreachable, match="restarting"):
            await link.call(RPCS["StartContainer"], api.StartContainerRequest())
        with pytest.raises(NotFound, match="the second one"):
            await link.call(RPCS["StartContainer"], api.StartContainerRequest())


async def test_an_agent_that_never_speaks_http_2_is_named(autojump_clock: MockClock) -> None:
    async def say_nothing(stream: trio.abc.Stream) -> None:
        async for _ in stream:
            pass

    async with linked(say_nothing) as link:
        with pytest.raises(AgentProtocolError, match="ttRPC"):
            await link.call(RPCS["Check"], api.CheckRequest())


async def test_a_link_that_breaks_leaves_changes_unknown(autojump_clock: MockClock) -> None:
    async def die(stream: trio.abc.Stream) -> None:
        await stream.send_all(SETTINGS + Peer().headers(1, (":status", "200")))
        await trio.sleep(1)
        await stream.aclose()

    async with linked(die) as link:
        with pytest.raises(OutcomeUnknown):
            await link.call(RPCS["StartContainer"], api.StartContainerRequest())
