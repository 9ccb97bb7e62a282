"""Which reports tell of the runs of one command: one for whoever watches, and the files that were asked for.

For `run`. Not for what a report says: `actors.scenario.report`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from actors.cli.report_files import CommandFiles
from actors.cli.streams import can_draw
from actors.scenario.report.base import RunReport, SeveralReports
from actors.scenario.report.html import HtmlReport
from actors.scenario.report.journal import JournalReport
from actors.scenario.report.junit import JunitReport
from actors.scenario.report.lines import JsonReport, PlainReport

if TYPE_CHECKING:
    from actors.cli.options.run import RunOptions

__all__ = ["open_report"]


def open_report(options: RunOptions, runs: int) -> tuple[RunReport, CommandFiles]:
    """The report of a command with so many runs, and its files. Raises: OSError, when one of them can't be written."""
    files = CommandFiles()
    others: list[RunReport] = []
    # first what touches nothing, so that a usage error leaves all as it was
    if options.junit is not None:
        others.append(junit := JunitReport())
        files.add(options.junit, junit.text)
    if options.html is not None:
        others.append(html := HtmlReport())
        files.add(options.html, html.text)
    if options.journal is not None:
        others.append(JournalReport(files.grow(options.journal)))
    return SeveralReports(_console_report(options, runs), others, files), files


def _console_report(options: RunOptions, runs: int) -> RunReport:
    if options.json:
        return JsonReport(sys.stdout, sys.stderr)
    # a simulated run is over before anybody could watch it
    if options.world != "simulated" and can_draw(sys.stdout):
        from rich.console import Console

        if options.jobs > 1:
            from actors.scenario.report.many import ManyReport

            return ManyReport(Console(), runs)
        from actors.scenario.report.live import LiveReport

        return LiveReport(Console())
    return PlainReport(sys.stdout)
