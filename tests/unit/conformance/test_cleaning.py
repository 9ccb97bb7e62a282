"""The suite's own clean-up: it asks for nothing that the case has not made necessary, and is named when the agent ends in it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from actors.conformance.case import Verdict
from actors.conformance.catalogue import ALL
from actors.conformance.fresh import run_fresh
from actors.conformance.kata import KataTarget
from actors.conformance.runner import run_cases
from actors.node.protocols import GuestProtocol
from tests.support.planted.defect import Kit
from tests.support.planted.guest import open_kata
from transports.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from actors.conformance.case import Result
    from actors.conformance.subject import Target
    from transports.calls.server import CallContext, Handler

CASES = {case.id: case for case in ALL}
NEVER_PAUSE = ("start.twice-refused", "wait.again", "exec.duplicate-refused", "stdout.waits-for-data")


class Mortal:
    """An agent that ends, with all its links, in a call; what it was asked is kept."""

    def __init__(self, ends_in: str) -> None:
        self.asked: list[str] = []
        self.ends_in = ends_in
        self.links: list[trio.abc.Stream] = []
        self.dead = False

    async def around(self, handler: Handler, request: bytes, context: CallContext) -> bytes:
        self.asked.append(context.method)
        if context.method == self.ends_in:
            self.dead = True
            for link in self.links:
                await trio.aclose_forcefully(link)
            await trio.sleep_forever()
        return await handler(request, context)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Target]:
        async with open_kata(Kit(around=self.around), GuestProtocol.TTRPC) as living:

            async def dial() -> trio.abc.Stream:
                if self.dead:
                    raise Unreachable("nobody listens there")
                self.links.append(await living.dialer())
                return self.links[-1]

            yield KataTarget(dial, rootfs="/", ids=living.ids)


async def run(agent: Mortal, *names: str) -> list[Result]:
    async with agent.open() as target:
        return await run_cases(target, [CASES[name] for name in names])


async def test_who_did_not_pause_sends_no_resume(autojump_clock: MockClock) -> None:
    agent = Mortal("ResumeContainer")
    results = await run(agent, *NEVER_PAUSE)
    assert [(each.verdict, each.seen) for each in results] == [(Verdict.HOLDS, "")] * len(NEVER_PAUSE)
    assert "ResumeContainer" not in agent.asked


async def test_what_was_paused_is_thawed(autojump_clock: MockClock) -> None:
    agent = Mortal("")
    [result] = await run(agent, "pause.kill-works")
    assert result.verdict is Verdict.HOLDS
    assert agent.asked.count("ResumeContainer") == 1


async def test_a_kill_without_an_answer_may_wait_for_a_thaw(autojump_clock: MockClock) -> None:
    agent = Mortal("")

    async def around(handler: Handler, request: bytes, context: CallContext) -> bytes:
        if context.method == "SignalProcess" and "ResumeContainer" not in agent.asked:
            await trio.sleep_forever()
        return await Mortal.around(agent, handler, request, context)

    agent.around = around  # type: ignore[method-assign]  # a kind of its own for one test
    [result] = await run(agent, "start.twice-refused")
    assert result.verdict is Verdict.HOLDS
    assert "ResumeContainer" in agent.asked


@pytest.mark.parametrize("method", ["ResumeContainer", "SignalProcess", "RemoveContainer", "WaitProcess"])
async def test_the_call_of_the_clean_up_in_which_it_ended_is_named(method: str, autojump_clock: MockClock) -> None:
    # the one leaves a container that is paused, the other one that runs
    case = "pause.kill-works" if method == "ResumeContainer" else "pause.stands-still"
    agent = Mortal(method)
    [result] = await run(agent, case)
    assert result.verdict is Verdict.AGENT_DIED
    assert f"the agent was gone after {case} (in the clean-up, in {method} cf-" in result.seen


async def test_so_is_the_call_of_a_case(autojump_clock: MockClock) -> None:
    [result] = await run(Mortal("StartContainer"), "wait.again")
    assert result.verdict is Verdict.AGENT_DIED
    assert "the agent was gone after wait.again (StartContainer cf-" in result.seen


async def test_on_fresh_agents_those_that_do_not_resume_all_hold(autojump_clock: MockClock) -> None:
    results = await run_fresh(
        lambda: Mortal("ResumeContainer").open(), [CASES[name] for name in (*NEVER_PAUSE, "pause.stands-still")]
    )
    verdicts = {each.case.id: each.verdict for each in results}
    assert verdicts.pop("pause.stands-still") is Verdict.AGENT_DIED
    assert set(verdicts.values()) == {Verdict.HOLDS}
