"""The engine port, on the engines that need no root: one body for all (`tests/support/engine_body.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.engine_cases import CASES, names
from tests.support.rooms import in_a_room, in_a_simulated_room

if TYPE_CHECKING:
    import trio.testing


@pytest.mark.parametrize("name", names(lacking=frozenset({"groups", "isolation"})))
def test_plain_processes(name: str) -> None:
    in_a_room("processes", CASES[name])


@pytest.mark.parametrize("name", names(lacking=frozenset({"no groups", "kernel"})))
async def test_the_simulated_engine(name: str, autojump_clock: trio.testing.MockClock) -> None:
    await in_a_simulated_room(CASES[name])
