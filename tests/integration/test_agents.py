"""Every verb over every agent on real guests, compared with the verb table (`actors/agents/support.py`).

What is observed, "ok" or "unsupported", must be the table's word, for every row; nothing is left out but "n/a". The
simulated guest's column is `tests/conformance/test_agents.py`'s, with the same body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from actors.agents.support import verb_table
from actors.api import open_embedded
from actors.node.facts import missing_for, read_facts
from actors.words import RUNTIMES
from tests.support.agent_body import differences

if TYPE_CHECKING:
    from pathlib import Path

TABLE = verb_table()
FACTS = read_facts()


COLUMNS = [column for column in TABLE.columns if not column.endswith("/simulated")]


@pytest.mark.parametrize(
    ("column", "config"),
    # the other dialect of kata's agents does the same verbs
    [
        *((column, {}) for column in COLUMNS),
        ("kata/runc", {"Dialect": "grpc"}),
        ("kata/processes", {"Dialect": "grpc"}),
    ],
    ids=[*COLUMNS, "kata/runc grpc", "kata/processes grpc"],
)
async def test_what_each_verb_does_is_what_the_table_says(column: str, config: dict[str, str], tmp_path: Path) -> None:
    agent, _, engine = column.partition("/")
    if engine in RUNTIMES and (missing := missing_for(FACTS, engine)):
        pytest.skip(f"engine {engine!r}: {missing}")
    run_dir = tmp_path / "r"
    run_dir.mkdir(mode=0o700)
    with trio.fail_after(120):
        async with open_embedded(agent=agent, config=config, engine=engine or "auto", run_dir=run_dir) as world:
            assert await differences(world, TABLE, column) == {}
