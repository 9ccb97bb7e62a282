"""The engine port, on the OCI runtimes of this machine: one body for all (`tests/support/engine_body.py`)."""

from __future__ import annotations

import pytest

from actors.node.facts import missing_for, read_facts
from actors.words import RUNTIMES
from tests.support.engine_cases import CASES, names
from tests.support.rooms import in_a_room

FACTS = read_facts()


@pytest.mark.parametrize("name", names(lacking=frozenset({"no groups"})))
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_runtime(runtime: str, name: str) -> None:
    if missing := missing_for(FACTS, runtime):
        pytest.skip(missing)
    in_a_room(runtime, CASES[name])
