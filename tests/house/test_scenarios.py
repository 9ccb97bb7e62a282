"""Every file in scenarios/ is one that the command line accepts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted((ROOT / "scenarios").iterdir())


def test_the_demo_has_its_scenario() -> None:
    assert ROOT / "scenarios" / "pause-one-of-two.yaml" in SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)
def test_it_validates(scenario: Path) -> None:
    katrio = Path(sys.executable).with_name("katrio")
    said = subprocess.run([katrio, "validate", scenario], capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
