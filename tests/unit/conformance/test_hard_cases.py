"""docs/hard-cases.md against the cases that there are: each of the sixty-eight has some, or a reason."""

from __future__ import annotations

import re
from pathlib import Path

from actors.conformance.catalogue import ALL

ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "hard-cases.md"


def test_each_hard_case_has_cases_or_a_reason() -> None:
    rows = ROW.findall(DOCUMENT.read_text("utf-8"))
    known = {case.id for case in ALL}
    assert [int(number) for number, _, _ in rows] == list(range(1, 69))
    for number, _, told in rows:
        if told.startswith("none: "):
            assert len(told) > 30, number
        else:
            assert set(told.split(", ")) <= known, number
