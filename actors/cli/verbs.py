"""`katrio verbs`: the verb table, for people or as JSON.

Not for asking an agent: the table is what this version was tested to do.
"""

from __future__ import annotations

from actors.agents.support import verb_table
from actors.cli.exits import Exit
from actors.cli.say import say
from actors.reporting.texts import json_text

__all__ = ["verbs"]


def verbs(*, as_json: bool) -> int:
    """Print it; the exit code."""
    table = verb_table()
    if as_json:
        rows = [
            {"kind": row.kind, "verb": row.verb, "agents": dict(zip(table.columns, row.supports, strict=True))}
            for row in table.rows
        ]
        say(json_text(rows))
        return Exit.HELD
    lines = [("", *table.columns), *((f"{row.kind} {row.verb}", *row.supports) for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        say("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip())
    return Exit.HELD
