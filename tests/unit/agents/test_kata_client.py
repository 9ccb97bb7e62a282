"""The typed calls: one for each row of the RPC table, each the right one on the wire, with typed errors and bounds of time."""

from __future__ import annotations

import inspect
import re
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, assert_type

import pytest
import trio

from actors.agents.kata.client import KataClient, open_kata_client
from actors.agents.kata.link import open_rpc_link
from actors.errors import (
    AgentProtocolError,
    AgentUnreachable,
    Expired,
    InvalidArgument,
    KatrioError,
    NotFound,
    OutcomeUnknown,
)
from actors.limits import DEFAULT_LIMITS
from actors.schemas import agent, network, resources
from actors.schemas.naming import find_rpc
from actors.schemas.request import Empty, Request
from actors.schemas.rpcs import RPCS, WAITING, decode_request, encode_response, rpc_of
from tests.support.calls import memory_dialer
from transports.errors import RpcStatusError, StatusCode
from transports.ttrpc.server import TtrpcServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    import msgspec
    from trio.testing import MockClock

    from transports.calls.server import CallContext, Handler


class Foreign(Request[Empty], frozen=True):
    """Of no call."""


class Peer:
    """Answers every call with its default response, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, msgspec.Struct]] = []
        self.hangs = False
        self.fails: RpcStatusError | None = None
        self.answers: dict[str, msgspec.Struct] = {}

    def handler(self, method: str) -> Handler:
        async def handle(payload: bytes, _: CallContext) -> bytes:
            await trio.lowlevel.checkpoint()
            rpc = RPCS[method]
            self.asked.append((method, decode_request(rpc, payload)))
            if self.hangs:
                await trio.sleep_forever()
            if self.fails is not None:
                raise self.fails
            return encode_response(rpc, self.answers.get(method, rpc.response()))

        return handle


@asynccontextmanager
async def client_of(peer: Peer, *, seconds: float | None = 60) -> AsyncGenerator[KataClient]:
    def complain(*_: object) -> None:
        raise AssertionError("the peer itself failed")

    server = TtrpcServer({(rpc.service, name): peer.handler(name) for name, rpc in RPCS.items()}, on_error=complain)
    async with trio.open_nursery() as nursery:
        link = open_rpc_link(memory_dialer(server, nursery), DEFAULT_LIMITS)
        await nursery.start(link.run)
        yield KataClient(link, timeout=seconds)
        nursery.cancel_scope.cancel()


def test_each_call_has_a_request_of_its_own_that_says_what_it_does() -> None:
    assert len({rpc.request for rpc in RPCS.values()}) == len(RPCS) == 44 + 1
    for rpc in RPCS.values():
        assert rpc_of(rpc.request()) is rpc
        assert inspect.getdoc(rpc.request) != inspect.getdoc(Request)


@pytest.mark.parametrize("name", RPCS)
async def test_it_is_that_call_on_the_wire(name: str, autojump_clock: MockClock) -> None:
    rpc, peer = RPCS[name], Peer()
    async with client_of(peer) as client:
        assert await client.call(rpc.request()) == rpc.response()
    assert peer.asked == [(name, rpc.request())]


async def test_the_type_of_the_answer_is_known_by_the_request(autojump_clock: MockClock) -> None:
    async with client_of(Peer()) as client:
        assert_type(await client.call(agent.CheckRequest()), agent.HealthCheckResponse)
        assert_type(await client.call(agent.VersionRequest()), agent.VersionCheckResponse)
        assert_type(await client.call(agent.ReadStdoutRequest()), agent.ReadStreamResponse)
        assert_type(await client.call(agent.PauseContainerRequest()), Empty)
        assert_type(await client.call(network.ListRoutesRequest()), network.Routes)
        with pytest.raises(InvalidArgument, match="Foreign is the request of no call"):
            await client.call(Foreign())


@pytest.mark.parametrize("name", RPCS)
async def test_time_that_runs_out_says_whether_anything_may_have_happened(name: str, autojump_clock: MockClock) -> None:
    rpc, peer = RPCS[name], Peer()
    peer.hangs = True
    async with client_of(peer, seconds=7) as client:
        began = trio.current_time()
        expected: type[KatrioError] = OutcomeUnknown if rpc.changes_state else Expired
        with pytest.raises(expected, match=f"{name}: no answer within 3 s"):
            await client.within(3).call(rpc.request())
        assert trio.current_time() - began == pytest.approx(3)
        if name not in WAITING:
            with pytest.raises(expected, match=f"{name}: no answer within 7 s"):
                await client.call(rpc.request())
        else:
            with trio.move_on_after(3600) as patience:
                await client.call(rpc.request())
            assert patience.cancelled_caught


async def test_a_call_in_a_scope_that_is_cancelled_already_is_cancelled(autojump_clock: MockClock) -> None:
    peer = Peer()
    async with client_of(peer) as client:
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.call(agent.CheckRequest())
        assert scope.cancelled_caught
        await client.call(agent.CheckRequest())
    assert len(peer.asked) == 1


async def test_a_status_is_a_typed_error(autojump_clock: MockClock) -> None:
    peer = Peer()
    peer.fails = RpcStatusError(StatusCode.NOT_FOUND, "no such container")
    async with client_of(peer) as client:
        with pytest.raises(NotFound, match="no such container"):
            await client.call(agent.PauseContainerRequest(container_id="one"))
        with pytest.raises(InvalidArgument, match=r"row"):
            await client.call(agent.TtyWinResizeRequest(row=-1))


@pytest.mark.parametrize(
    ("name", "answer", "says"),
    [
        ("ListInterfaces", network.Interfaces((network.Interface(),) * 20_000), "16384 is the most"),
        ("ListRoutes", network.Routes((network.Route(),) * 20_000), "16384 is the most"),
        ("GetVolumeStats", resources.VolumeStatsResponse((resources.VolumeUsage(),) * 20_000), "16384 is the most"),
        ("GetMetrics", agent.Metrics("x" * 300_000), "262144 is the most"),
        ("GetIPTables", network.GetIPTablesResponse(b"x" * 300_000), "262144 is the most"),
        ("SetIPTables", network.SetIPTablesResponse(b"x" * 300_000), "262144 is the most"),
        ("GetDiagnosticData", agent.GetDiagnosticDataResponse("x" * 300_000), "262144 is the most"),
    ],
)
async def test_an_answer_that_would_fill_our_memory_is_the_agents_fault(
    name: str, answer: msgspec.Struct, says: str, autojump_clock: MockClock
) -> None:
    rpc, peer = RPCS[name], Peer()
    peer.answers[name] = answer
    async with client_of(peer) as client:
        with pytest.raises(AgentProtocolError, match=says):
            await client.call(rpc.request())
        # and the link goes on
        await client.call(agent.CheckRequest())


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "relative.sock", "unix:///" + 200 * "x"])
async def test_an_address_that_cannot_be_is_told_at_once(address: str, autojump_clock: MockClock) -> None:
    with pytest.raises(InvalidArgument) as caught:
        async with open_kata_client(address):
            raise AssertionError("it opened")
    assert caught.value.details["field"] == "address"


async def test_nobody_there_is_told_in_time(tmp_path: Path, autojump_clock: MockClock) -> None:
    limits = replace(DEFAULT_LIMITS, guest_start_seconds=0.1)
    with trio.fail_after(5), pytest.raises(AgentUnreachable):
        async with open_kata_client(f"unix://{tmp_path}/no.sock", limits=limits):
            raise AssertionError("it opened")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("CreateContainer", "CreateContainer"),
        ("createcontainer", "CreateContainer"),
        ("create_container", "CreateContainer"),
        ("create-container", "CreateContainer"),
        ("GETOOMEVENT", "GetOOMEvent"),
        ("get-oom-event", "GetOOMEvent"),
        ("set_ip_tables", "SetIPTables"),
        ("grpc.Health/Check", "Check"),
    ],
)
def test_a_call_is_found_however_it_is_written(written: str, meant: str) -> None:
    assert find_rpc(written).method == meant


@pytest.mark.parametrize("name", RPCS)
def test_every_call_is_found_by_each_of_its_names(name: str) -> None:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    assert {find_rpc(one).method for one in (name, snake, snake.replace("_", "-"), name.upper())} == {name}


@pytest.mark.parametrize(
    ("written", "like"),
    [("CreateContaner", "CreateContainer"), ("list-interface", "ListInterfaces"), ("grpc.Health/Chek", "Check")],
)
def test_a_misspelt_call_is_told_with_the_right_one(written: str, like: str) -> None:
    with pytest.raises(InvalidArgument, match=f"did you mean {like}\\?"):
        find_rpc(written)
    with pytest.raises(InvalidArgument, match=r"expected a call of the Kata agent API$"):
        find_rpc("zzzz")
