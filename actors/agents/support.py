"""The verb table: which verb which agent does, from `verbs.toml` beside this file.

For the command line, the page `docs/agent-interface.md` and the tests that hold both to what they observe. Not for
refusing a verb: an agent that can't do one says so itself.
"""

from __future__ import annotations

import tomllib
from enum import StrEnum
from importlib import resources
from typing import NamedTuple

__all__ = ["Row", "Support", "VerbTable", "read_verb_table"]


class Support(StrEnum):
    """What becomes of a verb with an agent."""

    OK = "ok"
    UNSUPPORTED = "unsupported"
    NOT_APPLICABLE = "n/a"


class Row(NamedTuple):
    """A verb of an actor, or a kind of event (`kind` is sandbox, container or event), in the order of the columns."""

    kind: str
    verb: str
    supports: tuple[Support, ...]


class VerbTable(NamedTuple):
    """The table as it is in the file."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def column(self, name: str) -> dict[tuple[str, str], Support]:
        """One agent's, by kind and verb."""
        index = self.columns.index(name)
        return {(row.kind, row.verb): row.supports[index] for row in self.rows}


def read_verb_table() -> VerbTable:
    """The table that this version ships."""
    document = tomllib.loads(resources.files("actors.agents").joinpath("verbs.toml").read_text("utf-8"))
    columns = tuple(str(name) for name in document.pop("columns"))
    rows = tuple(
        Row(kind, verb, tuple(Support(word) for word in words))
        for kind, verbs in document.items()
        for verb, words in verbs.items()
    )
    return VerbTable(columns, rows)
