"""Whether the suite makes an agent a sandbox, and what it says where it made none: the cases fail for it alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from actors.conformance.case import Verdict
from actors.conformance.catalogue import ALL
from actors.conformance.kata import KataTarget
from actors.conformance.runner import run_cases
from actors.node.protocols import GuestProtocol
from actors.seams import real_seams
from actors.words import Dialect
from tests.support.planted.defect import Kit
from tests.support.planted.guest import open_kata
from tests.support.realagents import KINDS, RealAgent, open_agent
from transports.errors import RpcStatusError, StatusCode

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.support.planted.defect import Around
    from transports.calls.server import CallContext, Handler

CASES = {case.id: case for case in ALL}
UNKNOWN = "it is not known whether it has a sandbox, and none was made"
# the first fails by what hangs; the others, one of which is followed by a look at the agent, are judged by themselves
ASKED = [CASES["stats.unknown-refused"], CASES["start.twice-refused"], CASES["wait.again"]]


def hangs_in(*methods: str) -> Around:
    async def around(handler: Handler, request: bytes, context: CallContext) -> bytes:
        # as an agent of another kind: it knows no service of katrio's
        if context.method == "Version":
            request = b""
        if context.method in methods:
            await trio.sleep_forever()
        return await handler(request, context)

    return around


def refuses(method: str) -> Around:
    async def around(handler: Handler, request: bytes, context: CallContext) -> bytes:
        if context.method == method:
            raise RpcStatusError(StatusCode.INTERNAL, "no room", ())
        return await handler(request, context)

    return around


@pytest.mark.parametrize("new", [False, True])
async def test_an_agent_whose_counters_hang_has_a_sandbox_if_it_is_new(new: bool, autojump_clock: MockClock) -> None:
    async with open_kata(Kit(around=hangs_in("StatsContainer")), GuestProtocol.TTRPC) as target:
        target.new = new
        stats, *others = await run_cases(target, ASKED)
    assert stats.verdict is not Verdict.HOLDS
    if new:
        assert target.notes == []
        # nor is it taken for lost after that
        assert [(each.verdict, each.seen) for each in others] == [(Verdict.HOLDS, "")] * 2
    else:
        assert target.notes == [f"StatsContainer: no answer within 10 s: {UNKNOWN}"]
        assert not target.made_sandbox


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.dialect is Dialect.TTRPC])
async def test_one_that_was_just_started_is_sent_a_create(name: str, autojump_clock: MockClock) -> None:
    """Whether or not it tells that it has none."""
    real = RealAgent(KINDS[name])
    async with open_agent(real) as dial:
        target = KataTarget(dial, "/image", real_seams().ids, new=True)
        async with target.open_target():
            assert target.made_sandbox
    assert real.asked.count("CreateSandbox") == 1
    assert target.notes == []


@pytest.mark.parametrize("name", ["before 2.4", "with a policy"])
async def test_one_that_does_not_tell_is_told_of(name: str, autojump_clock: MockClock) -> None:
    async with open_agent(RealAgent(KINDS[name])) as dial:
        target = KataTarget(dial, "/image", real_seams().ids)
        async with target.open_target():
            assert target.notes == [f"a Kata agent that does not tell: {UNKNOWN}"]


@pytest.mark.parametrize(
    ("around", "note"),
    [
        (refuses("CreateSandbox"), "CreateSandbox was refused, there may be no sandbox: agent_error: no room"),
        (hangs_in("CreateSandbox"), "CreateSandbox: no answer within 10 s, there may be no sandbox"),
        (hangs_in("Version"), f"Version: no answer within 10 s: {UNKNOWN}"),
    ],
)
async def test_why_there_is_none_is_a_note(around: Around, note: str, autojump_clock: MockClock) -> None:
    async with open_kata(Kit(around=around), GuestProtocol.TTRPC) as target, target.open_target():
        assert target.notes == [note]
