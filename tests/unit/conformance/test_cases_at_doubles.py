"""The whole suite at each double, a fresh one wherever the one before was lost: what each is found to do, and nothing else.

`FOUND` is what a person with the real agent would read; a row too many breaks it as one too few does. In virtual time.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from actors.conformance.case import GREEN, Verdict
from actors.conformance.catalogue import ALL, chosen
from actors.conformance.fresh import run_fresh
from actors.conformance.kata import KataTarget
from actors.conformance.runner import run_cases
from tests.support.doubles.opening import DOUBLES, open_double
from tests.support.doubles.power import Options

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from actors.conformance.subject import Target

CASES = {case.id: case for case in ALL}
FOUND: dict[str, dict[Verdict, str]] = {
    "today": {
        Verdict.WRONG_CODE: (
            """
            network.interface-missing-refused
            network.routes-missing-refused
            network.neighbours-missing-refused
            create.empty-id-refused
            create.path-in-id-refused
            create.parent-in-id-refused
            start.unknown-refused
            exec.duplicate-refused
            exec.unknown-container-refused
            wait.unknown-container-refused
            signal.unknown-container-refused
            signal.unknown-container-all-refused
            pause.unknown-refused
            stdin.unknown-refused
            stdout.unknown-refused
            resize.without-terminal-refused
            stats.unknown-refused
            update.unknown-refused
            stop.polite
            stop.stubborn
            remove.ends-and-frees
            remove.unknown-refused
            remove.twice-refused
            remove.created
            remove.stopped
            remove.paused
            race.removes
            race.execs
            ttrpc.unreadable-payload
            """
        ),
        Verdict.FALLS_SHORT: (
            """
            network.address-families
            sandbox.second-refused
            create.duplicate-refused
            create.without-process-refused
            create.missing-root-refused
            create.missing-program-refused
            exec.paused-rejected
            wait.again
            wait.keeps-output
            signal.real-time
            signal.stopped-container-others-refused
            pause.created-refused
            pause.stopped-refused
            resume.after-kill-refused
            pause.kill-works
            stdin.empty-write
            tty.close-stdin-spares-session
            resize.first-size
            tty.hang-up-with-leader
            stats.processes
            update.memory-alone
            update.processes-limit-bites
            create.processes-limit-holds
            update.refused-as-a-whole
            oom.told
            remove.answers-waiters
            race.creates
            race.exec-of-paused
            race.pause-meets-exec
            race.kill-all-of-paused
            ttrpc.used-id
            ttrpc.unknown-limit
            """
        ),
        Verdict.HUNG: (
            """
            health.while-stuck
            start.twice-refused
            start.at-once-one-wins
            start.after-kill-refused
            start.stopped-refused
            """
        ),
    },
    "kata1x": {
        Verdict.FALLS_SHORT: (
            """
            sandbox.hostname
            create.missing-root-refused
            wait.again
            wait.keeps-output
            signal.ended-before-wait
            signal.stopped-container
            pause.created-refused
            resize.first-size
            tty.hang-up-with-leader
            """
        ),
        Verdict.AGENT_DIED: (
            """
            create.without-spec-refused
            exec.without-process-refused
            stdout.huge-length-bounded
            """
        ),
    },
    "hyperstart": {
        Verdict.AGENT_DIED: (
            """
            hyperstart.missing-directory
            hyperstart.missing-user
            """
        ),
    },
}
# each freeze of an agent costs two bounds, and so does each of the few cases whose call is never answered
MOST_SECONDS = 200.0


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("name", DOUBLES)
async def test_the_suite_shows_what_a_double_does_and_accuses_it_of_nothing_else(
    name: str, half: int, autojump_clock: MockClock
) -> None:
    @asynccontextmanager
    async def anew() -> AsyncGenerator[Target]:
        async with open_double(name) as running:
            yield running.target()

    # half of them at a time, so that a test takes a few seconds
    cases = chosen(DOUBLES[name].protocol, destructive=True)[half::2]
    results = await run_fresh(anew, cases)
    found = {each.case.id: each.verdict for each in results if each.verdict not in GREEN}
    asked = {case.id for case in cases}
    wanted = {case: verdict for verdict, rows in FOUND[name].items() for case in rows.split() if case in asked}
    assert found == wanted, {each.case.id: each.seen for each in results if each.case.id in {*found} ^ {*wanted}}
    assert not [each.seen for each in results if "the case broke" in each.seen]
    assert all(each.case.id in each.seen for each in results if each.verdict in (Verdict.HUNG, Verdict.AGENT_DIED))
    assert trio.current_time() < MOST_SECONDS


def test_every_row_is_a_case_of_its_double() -> None:
    for name, rows in FOUND.items():
        asked = {case.id for case in chosen(DOUBLES[name].protocol, destructive=True)}
        assert {case for cases in rows.values() for case in cases.split()} <= asked


async def test_a_signal_to_a_pid_that_is_anothers_by_now_is_found(autojump_clock: MockClock) -> None:
    async with open_double("today", Options(reuses_pids=True)) as running:
        results = await run_cases(running.target(), [CASES["signal.ended-reaches-nobody"]])
    assert [each.verdict for each in results] == [Verdict.FALLS_SHORT]


async def test_a_wrong_code_and_harm_are_told_apart_and_together(autojump_clock: MockClock) -> None:
    async with open_double("today") as running:
        names = ("create.duplicate-refused", "exec.duplicate-refused")
        harm, code = await run_cases(running.target(), [CASES[name] for name in names])
    # the owner of the id is gone, and the code is another
    assert "no such container" in harm.seen
    assert "exec fifo exists" in harm.seen
    assert code.verdict is Verdict.WRONG_CODE
    assert "already_exists" in code.expected


# ends 1.x's agent, beside others that wait
CULPRIT = replace(CASES["create.without-spec-refused"], fatal=False)
BESIDE = [CASES[name] for name in ("stdout.waits-for-data", "pause.stands-still", "create.waits-for-start")]


async def test_those_that_were_under_way_are_told_as_suspects(autojump_clock: MockClock) -> None:
    async with open_double("kata1x") as running:
        results = await run_cases(running.target(), [*BESIDE, CULPRIT, CASES["race.oom-poll"]])
    assert [each.verdict for each in results] == [Verdict.AGENT_DIED] * 4 + [Verdict.NOT_ASKED]
    assert all(f"one of {', '.join(case.id for case in (*BESIDE, CULPRIT))}" in each.seen for each in results)


async def test_on_fresh_agents_the_one_that_did_it_is_found_among_them(autojump_clock: MockClock) -> None:
    opened: list[str] = []

    @asynccontextmanager
    async def anew() -> AsyncGenerator[Target]:
        async with open_double("kata1x") as running:
            opened.append("one more")
            yield running.target()

    results = await run_fresh(anew, [*BESIDE, CULPRIT, CASES["race.oom-poll"]])
    verdicts = {each.case.id: each.verdict for each in results}
    assert verdicts.pop(CULPRIT.id) is Verdict.AGENT_DIED
    assert set(verdicts.values()) == {Verdict.HOLDS}
    # the first, one for each suspect, and one for what was left
    assert len(opened) == 6


async def test_a_slow_agent_is_waited_for_as_many_times_longer(autojump_clock: MockClock) -> None:
    verdicts: list[Verdict] = []
    for slow in (1.0, 20.0):
        async with open_double("kata1x", Options(delay_seconds=1.0)) as running:
            target = running.target()
            assert isinstance(target, KataTarget)
            target.slow = slow
            [result] = await run_cases(target, [CASES["race.pending-calls"]])
            verdicts.append(result.verdict)
    assert verdicts[0] in (Verdict.FALLS_SHORT, Verdict.HUNG, Verdict.AGENT_DIED)
    assert verdicts[1] is Verdict.HOLDS
