"""What the kata agent's link puts into a call beside its payload, and what it makes of an answer."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from actors.agents.kata.link import open_rpc_link
from actors.limits import DEFAULT_LIMITS
from actors.schemas.rpcs import RPCS, Rpc
from tests.support.calls import memory_dialer
from transports.ttrpc.server import TtrpcServer

if TYPE_CHECKING:
    from trio.testing import MockClock

    from transports.calls.server import CallContext

# a lost or cut-off one of these has changed nothing, and may be made again
CHANGE_NOTHING = {
    "Check",
    "Version",
    "WaitProcess",
    "StatsContainer",
    "ListProcesses",
    "GetDiagnosticData",
    "ListInterfaces",
    "ListRoutes",
    "GetIPTables",
    "GetMetrics",
    "GetGuestDetails",
    "GetVolumeStats",
}


def _empty(kind: type[msgspec.Struct]) -> msgspec.Struct:
    return msgspec.convert({}, kind)


@pytest.mark.parametrize("rpc", RPCS.values(), ids=list(RPCS))
async def test_only_a_call_that_changes_nothing_tells_the_guest_how_long_it_may_take(
    rpc: Rpc, autojump_clock: MockClock
) -> None:
    seen: list[float] = []
    errors: list[Exception] = []

    async def look(_payload: bytes, context: CallContext) -> bytes:
        await trio.lowlevel.checkpoint()
        seen.append(context.deadline - trio.current_time())
        return b""

    server = TtrpcServer(
        {(rpc.service, rpc.method): look}, on_error=lambda _service, _method, error: errors.append(error)
    )
    async with trio.open_nursery() as nursery:
        link = open_rpc_link(memory_dialer(server, nursery), DEFAULT_LIMITS)
        await nursery.start(link.run)
        with trio.fail_after(7):
            assert await link.call(rpc, _empty(rpc.request)) == _empty(rpc.response)
        nursery.cancel_scope.cancel()
    assert errors == []
    assert seen == [pytest.approx(7) if rpc.method in CHANGE_NOTHING else float("inf")]


async def test_the_guest_s_time_never_ends_before_the_caller_s(autojump_clock: MockClock) -> None:
    early: list[float] = []
    errors: list[Exception] = []
    deadline = 0.0

    async def look(_payload: bytes, context: CallContext) -> bytes:
        await trio.lowlevel.checkpoint()
        if context.deadline <= deadline:
            early.append(deadline - context.deadline)
        return b""

    rpc = RPCS["WaitProcess"]
    server = TtrpcServer(
        {(rpc.service, rpc.method): look}, on_error=lambda _service, _method, error: errors.append(error)
    )
    rng = random.Random(7)
    async with trio.open_nursery() as nursery:
        link = open_rpc_link(memory_dialer(server, nursery), DEFAULT_LIMITS)
        await nursery.start(link.run)
        for _ in range(500):
            autojump_clock.jump(rng.random())
            with trio.CancelScope(deadline=trio.current_time() + rng.random() * 10 ** rng.randint(-6, 4)) as scope:
                deadline = scope.deadline
                await link.call(rpc, _empty(rpc.request))
        nursery.cancel_scope.cancel()
    assert errors == []
    assert early == []
