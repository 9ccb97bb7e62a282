"""Every file in scenarios/ is one that the command line accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.scenario.reading.load import load_file
from tests.support.command_line import ROOT, katrio

if TYPE_CHECKING:
    from pathlib import Path

SCENARIOS = sorted((ROOT / "scenarios").iterdir())


def test_the_demo_has_its_scenario() -> None:
    assert ROOT / "scenarios" / "pause-one-of-two.yaml" in SCENARIOS


def test_there_are_enough_of_them_each_in_a_group_and_with_its_sentence_of_why() -> None:
    loaded = [load_file(path).scenario for path in SCENARIOS]
    assert len(loaded) >= 24
    assert len({one.name for one in loaded}) == len(loaded)
    assert all(one.group and one.why.strip().endswith(".") for one in loaded)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)
def test_it_validates(scenario: Path) -> None:
    said = katrio("validate", scenario)
    assert said.returncode == 0, said.stdout + said.stderr
