"""The engine port, on the engines that need no root: one body for all (`tests/support/engine_body.py`)."""

from __future__ import annotations

import pytest

from tests.support.engine_cases import CASES, names
from tests.support.rooms import in_a_room


@pytest.mark.parametrize("name", names(lacking=frozenset({"groups", "isolation"})))
def test_plain_processes(name: str) -> None:
    in_a_room("processes", CASES[name])
