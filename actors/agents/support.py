"""The support table: which agent supports which verb, from the verbs' declarations, and which events.

For the command line, the page `docs/agents.md` and the tests that compare both to observed behaviour. Agents
refuse unsupported verbs themselves.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from actors.wire.sandbox_verbs import SANDBOX_VERBS
from actors.wire.verb import COLUMNS, EVERYWHERE, KATA, NOOP
from actors.wire.verbs import CONTAINER_VERBS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Row", "Support", "VerbTable", "verb_table"]


class Support(StrEnum):
    """How an agent handles a verb.

    OK: as docs/agent-interface.md says, with the exceptions in docs/agents.md; noop answers at once
    with a zero result. UNSUPPORTED: it answers `unsupported`, and does nothing. NOT_APPLICABLE: it can't occur there.
    """

    OK = "ok"
    UNSUPPORTED = "unsupported"
    NOT_APPLICABLE = "n/a"


class Row(NamedTuple):
    """A verb of an actor, or a kind of event (`kind` is sandbox, container or event), in column order."""

    kind: str
    verb: str
    supports: tuple[Support, ...]


class VerbTable(NamedTuple):
    """The whole table."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def column(self, name: str) -> dict[tuple[str, str], Support]:
        """One agent's column, by kind and verb."""
        index = self.columns.index(name)
        return {(row.kind, row.verb): row.supports[index] for row in self.rows}


# kind of event -> where it is reported, and where it can't occur: with noop nothing runs, so nothing ends; plain
# processes have no memory limit
_EVENTS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "state": (EVERYWHERE, frozenset()),
    "deleted": (EVERYWHERE, frozenset()),
    "exit": (EVERYWHERE - NOOP, NOOP),
    "oom": (KATA - NOOP - {"kata/processes"}, NOOP | {"kata/processes"}),
}


def verb_table() -> VerbTable:
    """The table for this version."""
    tables = (("sandbox", SANDBOX_VERBS), ("container", CONTAINER_VERBS))
    verbs = (_row(kind, name, verb.support) for kind, table in tables for name, verb in table.items())
    return VerbTable(COLUMNS, (*verbs, *(_row("event", name, *where) for name, where in _EVENTS.items())))


def _row(kind: str, name: str, done: frozenset[str], absent: frozenset[str] = frozenset()) -> Row:
    def word(column: str) -> Support:
        if column in absent:
            return Support.NOT_APPLICABLE
        return Support.OK if column in done else Support.UNSUPPORTED

    return Row(kind, name, tuple(map(word, COLUMNS)))
