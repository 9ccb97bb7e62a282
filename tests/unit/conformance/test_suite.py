"""The suite against our own guest on the simulated engine, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Verdict
from actors.conformance.catalogue import ALL, chosen
from actors.conformance.runner import run_cases
from tests.support.conformance import open_simulated_hyperstart, open_simulated_kata

if TYPE_CHECKING:
    from trio.testing import MockClock

    from actors.conformance.subject import Target


def test_every_case_has_an_id_of_its_own() -> None:
    ids = [case.id for case in ALL]
    assert sorted(set(ids)) == sorted(ids)


async def test_our_guest_over_ttrpc(autojump_clock: MockClock) -> None:
    async with open_simulated_kata() as target:
        assert await short_of(target) == []


async def test_our_guest_as_hyperstart(autojump_clock: MockClock) -> None:
    async with open_simulated_hyperstart() as target:
        assert await short_of(target) == []


async def short_of(target: Target) -> list[tuple[str, str, str, str]]:
    """What does not hold."""
    results = await run_cases(target, chosen(target.spoken))
    return [(each.case.id, each.verdict, each.expected, each.seen) for each in results if each.verdict != Verdict.HOLDS]
