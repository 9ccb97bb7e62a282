"""A run as it happens, in a terminal: ended steps scroll by, below them what goes on now.

For people. Not for logs: `lines`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio
from rich.table import Table

from actors.reporting.screen import Screen, Words, progress
from actors.scenario.report.base import RunReport, headline, is_reported, last_line, reasons, threshold_lines, where
from actors.scenario.report.summary import summarised
from actors.scenario.stage.events import Outcome, Printed, RunEnded, RunStarted, StateObserved, StepEnded, StepStarted
from actors.scenario.stage.outputs import Decoding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

    from actors.scenario.report.summary import Total
    from actors.scenario.stage.events import Event
    from actors.scenario.stage.results import Result

__all__ = ["STYLES", "LiveReport", "RunScreen"]

STYLES = {
    Outcome.HELD: "green",
    Outcome.FAILED: "bold red",
    Outcome.ERROR: "bold magenta",
    Outcome.SKIPPED: "yellow",
    Outcome.CANCELLED: "dim",
    Outcome.INTERRUPTED: "bold magenta",
}
STATES = {"running": "green", "paused": "cyan", "ready": "blue", "stopped": "dim", "gone": "dim", "lost": "red"}
# of a line that has not ended yet
LINE_KEPT = 400


@dataclass(slots=True)
class _Row:
    """One sandbox or container as shown: its state, since when, and the last line that a process of it printed."""

    state: str = ""
    since: float = 0.0
    line: str = ""
    # of the stream that printed last
    stream: tuple[str, str] = ("", "")
    decoding: Decoding = field(default_factory=Decoding)
    rest: str = ""


class RunScreen(Screen, RunReport):
    """What all reports on a terminal have in common."""

    def total(self, total: Total) -> None:
        # nothing goes on any more
        self.close()
        for line in summarised(total):
            self._say(line)

    def _reasons(self, step: StepEnded, indent: int) -> None:
        for reason in reasons(step):
            self._say(f"{'':{indent}}{reason}", "dim" if step.skipped else "red")


class LiveReport(RunScreen):
    """See `RunReport`."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        # by name, a sandbox before its containers
        self._rows: dict[str, _Row] = {}
        self._steps: dict[str, StepStarted] = {}
        self._began = 0.0
        self._limit = 1.0

    def event(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._begin(event)
            case StepStarted(path=path):
                self._steps[path] = event
            case StepEnded(path=path):
                self._steps.pop(path, None)
                if is_reported(event):
                    self._step(event)
            case StateObserved(name=name, state=state):
                # a program makes some that no file has announced
                row = self._rows.setdefault(name, _Row())
                if row.state != state:
                    row.state, row.since = state, event.at
            case Printed(container=container) if container in self._rows:
                self._printed(self._rows[container], event)
            case RunEnded():
                self.close()
            case _:
                pass

    def result(self, result: Result) -> None:
        for line in threshold_lines(result):
            self._say(f"  {line}")
        self._say(last_line(result), STYLES[result.outcome])

    def _begin(self, event: RunStarted) -> None:
        self._rows = {
            name: _Row()
            for sandbox in event.sandboxes
            for name in (sandbox, *(one for one in event.containers if one.startswith(f"{sandbox}/")))
        }
        self._steps = {}
        self._began = trio.current_time()
        self._limit = event.limit
        self._console.print(Words(headline(event.name, event.file), style="bold"))
        self._console.print(Words(event.why, style="dim"))
        self._start()

    def _step(self, event: StepEnded) -> None:
        line = Words.assemble(
            (f"  {event.outcome:<9}", STYLES[event.outcome]),
            (f" {event.seconds:7.3f} s  {where(event):<8} ", "dim"),
            event.title,
        )
        self._console.print(line, no_wrap=True, overflow="ellipsis")
        self._reasons(event, 6)

    def _printed(self, row: _Row, event: Printed) -> None:
        if row.stream != (event.process, event.stream):
            row.stream, row.decoding, row.rest = (event.process, event.stream), Decoding(), ""
        lines = (row.rest + row.decoding.text(event.data)).replace("\r", "").split("\n")
        row.rest = lines.pop()[-LINE_KEPT:]
        shown = [line for line in [*lines, row.rest] if line.strip()]
        if shown:
            own = event.process == event.container
            row.line = shown[-1] if own else f"{event.process}: {shown[-1]}"

    def _now(self) -> Iterator[RenderableType]:
        """Steps under way, sandboxes and containers, the time; never higher than the terminal."""
        elapsed = trio.current_time() - self._began
        room = max(3, self._room)
        steps = list(self._steps.values())[-(room // 3) :]
        rows, left_out = self._shown(room - len(steps))
        yield Words("")
        for step in steps:
            yield self._under_way(step.title, f"{elapsed - step.at:.1f} s")
        yield self._table(rows, elapsed)
        if left_out:
            yield Words(f"  and {left_out} more", style="dim")
        yield progress(elapsed, self._limit, f"{elapsed:.1f} s of at most {self._limit:g} s", indent=" ")

    def _shown(self, room: int) -> tuple[list[tuple[str, _Row]], int]:
        """As many as there is room for, and how many there are beside: sandboxes that run give way to containers."""
        rows = list(self._rows.items())
        if len(rows) > room:
            rows = [(name, row) for name, row in rows if "/" in name or row.state != "running"]
        return rows[:room], len(self._rows) - len(rows[:room])

    def _table(self, rows: list[tuple[str, _Row]], elapsed: float) -> Table:
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(no_wrap=True, max_width=28, overflow="ellipsis")
        table.add_column(no_wrap=True, width=8)
        table.add_column(no_wrap=True, width=8, justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for name, row in rows:
            age = f"{elapsed - row.since:.1f} s" if row.state else ""
            state = Words(row.state or "-", style=STATES.get(row.state, ""))
            table.add_row(Words(f"  {name}"), state, Words(age, style="dim"), Words(row.line, "dim"))
        return table
