"""A range of seeds in a terminal: a bar, how many did not hold, how fast it goes, then the summary.

For `seeds_range`. Not for logs: `seeds_report`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.cli.seeds_report import RangeReport, failed, lines, title
from actors.reporting.screen import Screen, progress
from actors.reporting.texts import duration
from actors.scenario.report.live import STYLES
from actors.scenario.stage.events import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

    from actors.cli.seeds_report import Summary

__all__ = ["LiveRange"]


class LiveRange(Screen, RangeReport):
    """See `RangeReport`."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._summary: Summary | None = None
        self._began = 0.0

    def begin(self, summary: Summary) -> None:
        self._say(title(summary), "bold")
        self._summary = summary
        self._began = trio.current_time()
        self._start()

    def end(self, summary: Summary) -> None:
        self.close()
        for line in lines(summary):
            failing = line.startswith((Outcome.FAILED, Outcome.ERROR))
            self._say(line, STYLES[summary.outcome] if failing or line[:1].isdigit() else "")

    def _now(self) -> Iterator[RenderableType]:
        summary = self._summary
        if summary is None:
            return
        rate = summary.done / max(trio.current_time() - self._began, 0.001)
        left = f", {duration((summary.planned - summary.done) / rate)} left" if rate else ""
        text = f"{summary.done} of {summary.planned}  {failed(summary)} did not hold, {rate:.0f} seeds/s{left}"
        yield progress(summary.done, summary.planned, text)
