"""Many runs at once, in a terminal: a line for each that goes on, the ended ones scroll by.

For `--jobs` on a terminal. What held takes one line, what did not is told in full. Not for one run: `live`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio
from rich.console import Console, Group
from rich.live import Live

from actors.reporting.words import Words
from actors.scenario.report.base import headline, is_worth_a_line, last_line, reasons, where
from actors.scenario.report.live import FPS, STYLES
from actors.scenario.report.summary import summarised
from actors.scenario.stage.events import Outcome, RunEnded, RunStarted, StateSeen, StepEnded, StepStarted

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from actors.scenario.report.summary import Total
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


class ManyReport:
    """See `Report`. `total` is how many runs there will be."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._ended: list[Outcome] = []
        self._rows: list[_Row] = []
        self._failed: list[StepEnded] = []
        self._head = ""
        self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)

    def watch(self, name: str) -> Callable[[Event], None]:
        """A listener for one run that goes on; what it hears is shown at once."""
        row = _Row(name, trio.current_time())
        self._rows.append(row)

        def listener(event: Event) -> None:
            if isinstance(event, StepStarted):
                row.step, row.begun = event.title, True
            elif isinstance(event, StateSeen) and not row.begun:
                row.step = f"{event.name} {event.state}"
            elif isinstance(event, RunEnded):
                self._rows.remove(row)

        return listener

    def event(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._head, self._failed = headline(event.name, event.file), []
        elif isinstance(event, StepEnded) and event.failure is not None and is_worth_a_line(event):
            self._failed.append(event)

    def result(self, result: Result) -> None:
        self._ended.append(result.outcome)
        line = Words.assemble(
            (f"{result.outcome:<9}", STYLES[result.outcome]), f" {result.duration_s:6.1f} s  ", self._head
        )
        self._console.print(line, no_wrap=True, overflow="ellipsis")
        for step in self._failed:
            self._console.print(Words(f"    {where(step)}  {step.title}", style=STYLES[step.outcome]), soft_wrap=True)
            for reason in reasons(step):
                self._console.print(Words(f"      {reason}", style="red"), soft_wrap=True)
        if result.outcome is not Outcome.HELD:
            self._console.print(Words(f"    {last_line(result)}", style=STYLES[result.outcome]), soft_wrap=True)

    def total(self, total: Total) -> None:
        # nothing goes on any more
        self._live.stop()
        for line in summarised(total):
            self._console.print(Words(line), soft_wrap=True)

    def notice(self, text: str) -> None:
        self._console.print(Words(text, style="yellow"), soft_wrap=True)

    async def run(self) -> None:
        self._live.start()
        while True:
            self._live.update(self._now(), refresh=True)
            await trio.sleep(1 / FPS)

    def close(self) -> None:
        self._live.stop()

    def _now(self) -> RenderableType:
        room = max(1, self._console.height - 4)
        parts: list[RenderableType] = []
        now = trio.current_time()
        for row in self._rows[:room]:
            line = Words.assemble(
                ("  ▸ ", "cyan"), row.name, (f"  {row.step}", "dim"), (f"  {now - row.began:.1f} s", "dim")
            )
            line.truncate(self._console.width - 1, overflow="ellipsis")
            parts.append(line)
        if len(self._rows) > room:
            parts.append(Words(f"  and {len(self._rows) - room} more", style="dim"))
        counts = ", ".join(f"{self._ended.count(outcome)} {outcome}" for outcome in Outcome if outcome in self._ended)
        parts.append(Words(f"  {len(self._ended)} of {self._total} ended{': ' if counts else ''}{counts}", style="dim"))
        return Group(*parts)
