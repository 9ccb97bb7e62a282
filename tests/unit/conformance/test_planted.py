"""Every planted defect is caught by the cases that it names, and a sound guest passes those very cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.conformance.case import Verdict
from actors.conformance.catalogue import ALL, chosen
from actors.conformance.runner import run_cases
from actors.node.protocols import GuestProtocol
from tests.support.planted.defect import Kit
from tests.support.planted.guest import open_planted
from tests.support.planted.table import DEFECTS

if TYPE_CHECKING:
    from trio.testing import MockClock

    from actors.conformance.case import Result
    from tests.support.planted.defect import Defect

CASES = {case.id: case for case in ALL}
CAUGHT = (Verdict.WRONG_CODE, Verdict.FALLS_SHORT, Verdict.HUNG, Verdict.AGENT_DIED)


async def results_of(kit: Kit, protocol: GuestProtocol, names: tuple[str, ...]) -> list[Result]:
    async with open_planted(kit, protocol) as target:
        return await run_cases(target, [CASES[name] for name in names])


def test_there_are_many_and_each_is_told_apart() -> None:
    ids = [defect.id for defect in DEFECTS]
    assert len(ids) == len(set(ids)) >= 40
    for defect in DEFECTS:
        assert defect.source, defect.id
        assert defect.caught_by, defect.id


@pytest.mark.parametrize("defect", DEFECTS, ids=[defect.id for defect in DEFECTS])
async def test_a_defect_is_caught(defect: Defect, autojump_clock: MockClock) -> None:
    results = await results_of(defect.kit, defect.protocol, defect.caught_by)
    missed = [each.case.id for each in results if each.verdict not in CAUGHT]
    assert missed == []


@pytest.mark.parametrize("protocol", sorted({defect.protocol for defect in DEFECTS}))
async def test_a_sound_guest_passes_the_same_cases(protocol: GuestProtocol, autojump_clock: MockClock) -> None:
    names = sorted({name for defect in DEFECTS if defect.protocol is protocol for name in defect.caught_by})
    results = await results_of(Kit(), protocol, tuple(names))
    assert [(each.case.id, each.seen) for each in results if each.verdict is not Verdict.HOLDS] == []


@pytest.mark.parametrize("protocol", GuestProtocol)
async def test_a_sound_guest_survives_what_could_end_an_agent(
    protocol: GuestProtocol, autojump_clock: MockClock
) -> None:
    cases = [case for case in chosen(protocol, destructive=True) if case.destructive]
    async with open_planted(Kit(), protocol) as target:
        results = await run_cases(target, cases)
    assert cases
    assert [(each.case.id, each.seen) for each in results if each.verdict is not Verdict.HOLDS] == []
