"""Many runs at once, in a terminal: a line for each that goes on, the ended ones scroll by.

For `--jobs` on a terminal. A run that held takes one line, others are reported in full. Not for one run: `live`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from actors.reporting.screen import Words
from actors.reporting.texts import tally
from actors.scenario.report.base import headline, is_reported, last_line, outcome_counts, where
from actors.scenario.report.live import STYLES, RunScreen
from actors.scenario.stage.events import Outcome, RunEnded, RunStarted, StateObserved, StepEnded, StepStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console, RenderableType

    from actors.scenario.stage.events import Event
    from actors.scenario.stage.results import Result

__all__ = ["ManyReport"]


@dataclass(slots=True)
class _Row:
    name: str
    began: float
    step: str = "opening its world"
    # its first step
    begun: bool = False


class ManyReport(RunScreen):
    """See `RunReport`. `total` is how many runs there will be."""

    def __init__(self, console: Console, total: int) -> None:
        super().__init__(console)
        self._total = total
        self._ended: list[Outcome] = []
        self._rows: list[_Row] = []
        self._failed: list[StepEnded] = []
        self._head = ""

    def watch(self, name: str) -> Callable[[Event], None]:
        """A listener for one run that goes on; what it hears is shown at once."""
        row = _Row(name, trio.current_time())
        self._rows.append(row)

        def listener(event: Event) -> None:
            if isinstance(event, StepStarted):
                row.step, row.begun = event.title, True
            elif isinstance(event, StateObserved) and not row.begun:
                row.step = f"{event.name} {event.state}"
            elif isinstance(event, RunEnded):
                self._rows.remove(row)

        return listener

    def event(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._head, self._failed = headline(event.name, event.file), []
        elif isinstance(event, StepEnded) and event.failure is not None and is_reported(event):
            self._failed.append(event)

    def result(self, result: Result) -> None:
        self._ended.append(result.outcome)
        line = Words.assemble(
            (f"{result.outcome:<9}", STYLES[result.outcome]), f" {result.duration_s:6.1f} s  ", self._head
        )
        self._console.print(line, no_wrap=True, overflow="ellipsis")
        for step in self._failed:
            self._say(f"    {where(step)}  {step.title}", STYLES[step.outcome])
            self._reasons(step, 6)
        if result.outcome is not Outcome.HELD:
            self._say(f"    {last_line(result)}", STYLES[result.outcome])

    async def run(self) -> None:
        self._start()
        await super().run()

    def _now(self) -> Iterator[RenderableType]:
        now = trio.current_time()
        for row in self._rows[: self._room]:
            yield self._under_way(row.name, row.step, f"{now - row.began:.1f} s")
        if len(self._rows) > self._room:
            yield Words(f"  and {len(self._rows) - self._room} more", style="dim")
        counts = tally(outcome_counts(self._ended))
        text = f"  {len(self._ended)} of {self._total} ended{': ' if counts else ''}{counts}"
        yield Words(text, style="dim")
