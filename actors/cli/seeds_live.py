"""A range of seeds in a terminal: a bar, how many did not hold, how fast it goes, then the summary.

For `seeds_range`. Draws from a task of ours, never from a thread. Not for logs: `seeds_report`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from actors.cli.seeds_report import failed, lines, title
from actors.reporting.words import Words
from actors.scenario.report.live import FPS, STYLES
from actors.scenario.stage.events import Outcome

if TYPE_CHECKING:
    from actors.cli.seeds_report import Summary
    from actors.cli.seeds_worker import SeedResult

__all__ = ["LiveRange"]


class LiveRange:
    """See `actors.cli.seeds_report.RangeReport`."""

    def __init__(self) -> None:
        self._console = Console()
        self._progress: Progress | None = None
        self._summary: Summary | None = None
        self._began = 0.0

    def begin(self, summary: Summary) -> None:
        self._console.print(Words(title(summary), "bold"), soft_wrap=True)
        self._summary = summary
        self._began = trio.current_time()
        self._progress = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=self._console,
            auto_refresh=False,
            transient=True,
        )
        self._progress.add_task("", total=summary.end - summary.first)
        self._progress.start()

    def seed(self, summary: Summary, result: SeedResult) -> None:
        pass

    def end(self, summary: Summary) -> None:
        self.close()
        for line in lines(summary):
            failing = line.startswith((Outcome.FAILED, Outcome.ERROR))
            style = STYLES[summary.outcome] if failing or line[:1].isdigit() else ""
            self._console.print(Words(line, style), soft_wrap=True)

    async def run(self) -> None:
        while True:
            self._draw()
            await trio.sleep(1 / FPS)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _draw(self) -> None:
        progress, summary = self._progress, self._summary
        if progress is None or summary is None:
            return
        rate = summary.done / max(trio.current_time() - self._began, 0.001)
        description = f"{failed(summary)} did not hold, {rate:.0f} seeds/s"
        progress.update(progress.task_ids[0], completed=summary.done, description=description)
        progress.refresh()
