"""A run in lines: a step a line, for logs, pipes and terminals that can't move their cursor; or one JSON object, for programs.

The object's fields are those of `actors.scenario.stage.results.Result`; fields may be added, none changes its meaning.
Beside it notices go to the error stream, so that the output is JSON alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.reporting.texts import Lines
from actors.scenario.report.base import (
    RunReport,
    headline,
    is_reported,
    last_line,
    reasons,
    threshold_lines,
    where,
)
from actors.scenario.report.summary import summarised
from actors.scenario.stage.events import RunStarted, StepEnded

if TYPE_CHECKING:
    from typing import TextIO

    from actors.scenario.report.summary import Total
    from actors.scenario.stage.events import Event
    from actors.scenario.stage.results import Result

__all__ = ["JsonReport", "PlainReport"]


class PlainReport(RunReport):
    """Writes whole lines to `stream`."""

    def __init__(self, stream: TextIO) -> None:
        self._out = Lines(stream)

    def event(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._out.line(headline(event.name, event.file))
        elif isinstance(event, StepEnded) and is_reported(event):
            self._out.line(f"  {event.outcome:<9} {event.seconds:7.3f} s  {where(event):<8} {event.title}")
            for reason in reasons(event):
                self._out.line(f"      {reason}")

    def result(self, result: Result) -> None:
        for line in threshold_lines(result):
            self._out.line(f"  {line}")
        self._out.line(last_line(result))

    def total(self, total: Total) -> None:
        for line in summarised(total):
            self._out.line(line)

    def notice(self, text: str) -> None:
        self._out.line(text)


class JsonReport(RunReport):
    """Writes an object when a run has ended, and one for all of them, to `stream`."""

    def __init__(self, stream: TextIO, errors: TextIO) -> None:
        self._out = Lines(stream)
        self._errors = Lines(errors)

    def result(self, result: Result) -> None:
        self._out.json(result)

    def total(self, total: Total) -> None:
        self._out.json(total)

    def notice(self, text: str) -> None:
        self._errors.line(text)
