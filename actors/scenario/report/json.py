"""A run as one JSON object on one line, when it has ended: for programs.

Its fields are those of `actors.scenario.stage.results.Result`; fields may be added, none changes its meaning.
Notices go to the error stream, so that the output is JSON alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.reporting.texts import Lines
from actors.scenario.report.base import RunReport

if TYPE_CHECKING:
    from typing import TextIO

    from actors.scenario.report.summary import Total
    from actors.scenario.stage.results import Result

__all__ = ["JsonReport"]


class JsonReport(RunReport):
    """Writes to `stream`."""

    def __init__(self, stream: TextIO, errors: TextIO) -> None:
        self._out = Lines(stream)
        self._errors = Lines(errors)

    def result(self, result: Result) -> None:
        self._out.json(result)

    def total(self, total: Total) -> None:
        self._out.json(total)

    def notice(self, text: str) -> None:
        self._errors.line(text)
