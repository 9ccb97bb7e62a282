"""The support table: which verb which agent does, from the verbs' declarations, and which events it tells.

For the command line, the page `docs/agents.md` and the tests that hold both to what they observe. Not for
refusing a verb: an agent that can't do one says so itself.
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
    """What becomes of a verb with an agent.

    OK: it does what docs/agent-interface.md says, as far as docs/agents.md does not say otherwise; with noop it answers at once
    with a zero result. UNSUPPORTED: it answers `unsupported`, and nothing was done. NOT_APPLICABLE: it can't come up there.
    """

    OK = "ok"
    UNSUPPORTED = "unsupported"
    NOT_APPLICABLE = "n/a"


class Row(NamedTuple):
    """A verb of an actor, or a kind of event (`kind` is sandbox, container or event), in the order of the columns."""

    kind: str
    verb: str
    supports: tuple[Support, ...]


class VerbTable(NamedTuple):
    """The whole table."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def column(self, name: str) -> dict[tuple[str, str], Support]:
        """One agent's, by kind and verb."""
        index = self.columns.index(name)
        return {(row.kind, row.verb): row.supports[index] for row in self.rows}


# kind of event -> where it is told, and where it can't come up: with noop nothing runs, so nothing ends; processes alone have
# no limit of memory
_EVENTS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "state": (EVERYWHERE, frozenset()),
    "deleted": (EVERYWHERE, frozenset()),
    "exit": (EVERYWHERE - NOOP, NOOP),
    "oom": (KATA - NOOP - {"kata/processes"}, NOOP | {"kata/processes"}),
}


def verb_table() -> VerbTable:
    """The table of this version."""
    tables = (("sandbox", SANDBOX_VERBS), ("container", CONTAINER_VERBS))
    verbs = (_row(kind, name, verb.support) for kind, table in tables for name, verb in table.items())
    return VerbTable(COLUMNS, (*verbs, *(_row("event", name, *where) for name, where in _EVENTS.items())))


def _row(kind: str, name: str, done: frozenset[str], absent: frozenset[str] = frozenset()) -> Row:
    def word(column: str) -> Support:
        if column in absent:
            return Support.NOT_APPLICABLE
        return Support.OK if column in done else Support.UNSUPPORTED

    return Row(kind, name, tuple(map(word, COLUMNS)))
