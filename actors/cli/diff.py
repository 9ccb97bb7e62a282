"""`katrio run --diff A B`: says what differs between two journals, a line each; runs nothing.

Not for comparing: `actors.scenario.report.diff`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from actors.cli.exits import Exit
from actors.cli.say import report_error, say
from actors.node.named_files import read_named
from actors.reporting.texts import json_text
from actors.scenario.report.base import agent_words
from actors.scenario.report.diff import Difference, JournalError, RecordedRun, compare, read_journal

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["diff"]

# days of runs; both are held in memory
_JOURNAL_BYTES = 512 * 1024 * 1024


def diff(left: Path, right: Path, *, json: bool) -> int:
    """0 when nothing that counts differs, 1 when something does, 2 when a file is no journal."""
    try:
        runs = [read_journal(_read(path), str(path)) for path in (left, right)]
    except (OSError, JournalError) as error:
        report_error(error)
        return Exit.USAGE
    found = list(compare(*runs))
    counting = sum(one.counts for one in found)
    if json:
        say(json_text([asdict(one) for one in found]))
    else:
        _tell(left, right, runs, found)
        say(
            f"{counting or 'nothing'} that counts differs, in {len(runs[0])} runs; {len(found) - counting} mere values do"
        )
    return Exit.FAILED if counting else Exit.HELD


def _read(path: Path) -> bytes:
    data = read_named(path, _JOURNAL_BYTES)
    if len(data) > _JOURNAL_BYTES:
        raise JournalError(f"{path}: found more than {_JOURNAL_BYTES >> 20} MiB, expected a journal")
    return data


def _tell(left: Path, right: Path, runs: list[list[RecordedRun]], found: list[Difference]) -> None:
    for sign, path, recorded in (("<", left, runs[0]), (">", right, runs[1])):
        say(f"{sign} {path}: {recorded[0].world} world, {agent_words(recorded[0].agent)}")
    run = None
    for one in found:
        if one.run != run:
            say(one.run)
            run = one.run
        where = f"{one.step}: " if one.step else ""
        say(f"  {' ' if one.counts else '~'} {where}{one.what}: < {one.left} > {one.right}")
