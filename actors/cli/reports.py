"""Which reports tell of the runs of one command: one for whoever watches, and the files that were asked for.

For `run`. Not for what a report says: `actors.scenario.report`.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from actors.scenario.report.html import HtmlReport
from actors.scenario.report.journal import JournalReport
from actors.scenario.report.json import JsonReport
from actors.scenario.report.junit import JunitReport
from actors.scenario.report.plain import PlainReport
from actors.scenario.report.several import SeveralReports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TextIO

    from actors.cli.options import RunOptions
    from actors.scenario.report.base import Report

__all__ = ["open_report"]


def open_report(options: RunOptions, runs: int) -> Report:
    """The report of a command with so many runs. Raises: OSError, when one of its files can't be written."""
    makers: list[tuple[Path | None, Callable[[TextIO], Report]]] = [
        (options.journal, JournalReport),
        (options.junit, JunitReport),
        (options.html, HtmlReport),
    ]
    with ExitStack() as stack:
        others = [
            make(stack.enter_context(path.open("w", encoding="utf-8"))) for path, make in makers if path is not None
        ]
        stack.pop_all()  # each report closes its own file
    first = _for_whoever_watches(options, runs)
    return SeveralReports(first, others) if others else first


def _for_whoever_watches(options: RunOptions, runs: int) -> Report:
    if options.json:
        return JsonReport(sys.stdout, sys.stderr)
    # a simulated run is over before anybody could watch it
    if options.world != "simulated" and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        from rich.console import Console

        if options.jobs > 1:
            from actors.scenario.report.many import ManyReport

            return ManyReport(Console(), runs)
        from actors.scenario.report.live import LiveReport

        return LiveReport(Console())
    return PlainReport(sys.stdout)
