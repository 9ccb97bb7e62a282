"""The suite against our own guest on the simulated engine, in virtual time: all holds but what docs/conformance.md names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.conformance.case import GREEN, NEEDS, Verdict
from actors.conformance.catalogue import ALL, chosen
from actors.conformance.runner import run_cases
from tests.support.conformance import MOST_EXCEPTIONS, SERVED, exceptions, open_simulated

if TYPE_CHECKING:
    from trio.testing import MockClock

    from actors.node.protocols import GuestProtocol


def test_every_case_is_told_apart_and_explained() -> None:
    ids = [case.id for case in ALL]
    assert sorted(set(ids)) == sorted(ids)
    for case in ALL:
        assert all((case.title, case.does, case.expects, case.why)), case.id
        assert set(case.needs) <= set(NEEDS), case.id


@pytest.mark.parametrize("protocol", SERVED)
async def test_our_guest_on_the_simulated_engine(protocol: GuestProtocol, autojump_clock: MockClock) -> None:
    async with open_simulated(protocol) as target:
        results = await run_cases(target, chosen(protocol))
    known = exceptions(protocol, "simulated")
    short = {
        each.case.id: f"{each.verdict}: {each.expected}: {each.seen}" for each in results if each.verdict not in GREEN
    }
    assert {name: said for name, said in short.items() if name not in known} == {}
    assert known <= set(short), "a row of docs/conformance.md that holds by now"
    assert len(known) <= MOST_EXCEPTIONS
    assert [each.case.id for each in results if each.verdict is Verdict.HOLDS]
