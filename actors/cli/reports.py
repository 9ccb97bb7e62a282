"""Which reports tell of the runs of one command: one for whoever watches, and the files that were asked for.

For `run`. Not for what a report says: `actors.scenario.report`.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from actors.cli.exits import unwritten
from actors.cli.say import tell_unwritten
from actors.cli.streams import file_output
from actors.reporting.files import check_writable, write_whole
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

    from actors.cli.exits import Exit
    from actors.cli.options import RunOptions
    from actors.cli.streams import Output
    from actors.scenario.report.base import Report

__all__ = ["ReportFiles", "open_report"]


class ReportFiles:
    """The files that one command writes; each report closes its own."""

    def __init__(self) -> None:
        self._files: list[tuple[Path, Output | _Whole]] = []

    def grow(self, path: Path) -> Output:
        """One that is written as the work goes on. Raises: OSError."""
        file = file_output(path)
        self._files.append((path, file))
        return file

    def whole(self, path: Path) -> TextIO:
        """One that replaces what is there when it is closed, or leaves it as it was. Raises: OSError."""
        check_writable(path)
        file = _Whole(path)
        self._files.append((path, file))
        return file

    def settle(self, code: Exit) -> int:
        """Say which could not be written; the exit code, which tells."""
        lost = [(path, file.lost) for path, file in self._files if file.lost is not None]
        for path, error in lost:
            tell_unwritten(path, error)
        return unwritten(code) if lost else code


class _Whole(io.StringIO):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.lost: OSError | None = None

    def close(self) -> None:
        if self.closed:
            return
        text = self.getvalue()
        super().close()
        if not text:
            # given up before anything was told: Python closes what it collects
            return
        try:
            write_whole(self._path, text)
        except OSError as error:
            self.lost = error


def open_report(options: RunOptions, runs: int) -> tuple[Report, ReportFiles]:
    """The report of a command with so many runs, and its files. Raises: OSError, when one of them can't be written."""
    files = ReportFiles()
    others: list[Report] = []
    # first what touches nothing, so that a usage error leaves all as it was
    makers: list[tuple[Path | None, Callable[[TextIO], Report]]] = [
        (options.junit, JunitReport),
        (options.html, HtmlReport),
    ]
    others += [make(files.whole(path)) for path, make in makers if path is not None]
    if options.journal is not None:
        others.append(JournalReport(files.grow(options.journal)))
    first = _for_whoever_watches(options, runs)
    return SeveralReports(first, others) if others else first, files


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
