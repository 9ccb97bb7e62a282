"""The suite against agents that say yes to everything, and against those that hang, die, babble, flood and lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from actors.conformance.case import Verdict
from actors.conformance.catalogue import chosen
from actors.conformance.runner import JOBS, Settings, run_cases
from actors.errors import AgentProtocolError, AgentUnreachable
from actors.node.protocols import GuestProtocol
from tests.support.planted.defect import Kit
from tests.support.planted.guest import open_planted
from tests.support.planted.unruly import BEHAVIOURS, LIES, Dies, Hangs, open_unruly
from tests.support.planted.yes import open_yes

if TYPE_CHECKING:
    from trio.testing import MockClock

    from actors.conformance.case import Result
    from tests.support.planted.unruly import Unruly

# these ask whether bytes are understood, and what their answer is comes of no container: an agent that does nothing may
# pass them. Every other case looks at an effect.
WITHOUT_EFFECT = {
    GuestProtocol.TTRPC: {
        "health.serving",
        "health.version",
        "ttrpc.byte-by-byte",
        "ttrpc.cut-frame",
        "ttrpc.data-to-nobody",
        "ttrpc.even-id",
        "ttrpc.header-alone",
        "ttrpc.heap",
        "ttrpc.metadata",
        "ttrpc.oversize",
        "ttrpc.remote-closed",
        "ttrpc.unknown-fields",
        "ttrpc.unknown-type",
        "ttrpc.unreadable-request",
        "ttrpc.used-id",
    },
    GuestProtocol.GRPC: {"health.serving", "health.version"},
    GuestProtocol.HYPERSTART: {"hyperstart.next", "hyperstart.ping", "hyperstart.version"},
}
# whoever is answered without end is asked without end: a shorter bound than the cases' own is enough
SETTINGS = Settings(most_seconds=10.0)
# the cases' own bounds, one after another for each of the jobs that run at once, and the looks in between
MOST_SECONDS = 600.0
# a lost agent costs one bound in all, after what is answered: of the longest case, of the look, and of the cleaning beside them
LOST_SECONDS = 90.0


@pytest.mark.parametrize("protocol", GuestProtocol)
async def test_no_case_that_looks_at_an_effect_holds_for_an_agent_that_does_nothing(
    protocol: GuestProtocol, autojump_clock: MockClock
) -> None:
    async with open_yes(protocol) as target:
        results = await run_cases(target, chosen(protocol, destructive=True), SETTINGS)
    assert {each.case.id for each in results if each.verdict is Verdict.HOLDS} == WITHOUT_EFFECT[protocol]


async def survived(protocol: GuestProtocol, behaviour: type[Unruly], requests: int) -> list[Result] | None:
    """None: it could not even be reached, and that was told."""
    cases = chosen(protocol)
    began = trio.current_time()
    async with open_unruly(protocol, behaviour, requests) as target:
        try:
            results = await run_cases(target, cases, SETTINGS)
        except (AgentUnreachable, AgentProtocolError):
            return None
    assert trio.current_time() - began < MOST_SECONDS
    assert [each.case.id for each in results] == [case.id for case in cases]
    assert not [each.seen for each in results if "the case broke" in each.seen]
    return results


@pytest.mark.parametrize("requests", [0, 1, 2, 3, 100])
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
@pytest.mark.parametrize("protocol", GuestProtocol)
async def test_the_suite_survives(
    protocol: GuestProtocol, behaviour: type[Unruly], requests: int, autojump_clock: MockClock
) -> None:
    results = await survived(protocol, behaviour, requests)
    if results is None:
        assert requests < 20
        return
    verdicts = [each.verdict for each in results]
    assert Verdict.HOLDS in verdicts or requests <= 20
    assert {Verdict.HUNG, Verdict.AGENT_DIED, Verdict.FALLS_SHORT} & set(verdicts)
    if behaviour not in (Dies, Hangs):
        return
    # where a link begins with words of both sides, or can't be had a second time, nobody can tell one from the other
    lost = Verdict.HUNG if behaviour is Hangs and protocol is GuestProtocol.TTRPC else Verdict.AGENT_DIED
    assert lost in verdicts or behaviour is Hangs
    assert verdicts.count(Verdict.NOT_ASKED) > len(verdicts) / 2 or requests == 100
    assert trio.current_time() < LOST_SECONDS
    suspects = [each for each in results if each.verdict in (Verdict.HUNG, Verdict.AGENT_DIED)]
    assert len(suspects) <= JOBS
    assert all(each.seen == suspects[0].seen or suspects[0].case.id in each.seen for each in suspects)
    assert all(suspects[0].case.id in each.seen for each in results if each.verdict is Verdict.NOT_ASKED)


@pytest.mark.parametrize("lie", LIES)
async def test_no_case_that_looks_at_an_effect_holds_for_an_agent_that_lies(
    lie: str, autojump_clock: MockClock
) -> None:
    cases = chosen(GuestProtocol.TTRPC)
    async with open_planted(Kit(around=LIES[lie]), GuestProtocol.TTRPC) as target:
        results = await run_cases(target, cases, SETTINGS)
    assert [each.case.id for each in results] == [case.id for case in cases]
    assert not [each.seen for each in results if "the case broke" in each.seen]
    # the server before its lies is ours: what nobody serves is refused
    honest = {"ttrpc.unknown-service", "ttrpc.unknown-method", "ttrpc.empty-request"}
    assert {each.case.id for each in results if each.verdict is Verdict.HOLDS} <= WITHOUT_EFFECT[
        GuestProtocol.TTRPC
    ] | honest
