"""A run in plain lines, one a step: for logs, pipes and terminals that can't move their cursor.

Not for programs: `json` has a stable form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.scenario.report.base import headline, is_worth_a_line, last_line, reasons, threshold_lines, where
from actors.scenario.report.summary import summarised
from actors.scenario.stage.events import RunStarted, StepEnded
from transports.plain import printable

if TYPE_CHECKING:
    from typing import TextIO

    from actors.scenario.report.summary import Total
    from actors.scenario.stage.events import Event
    from actors.scenario.stage.results import Result

__all__ = ["PlainReport"]


class PlainReport:
    """See `Report`; writes whole lines to `stream`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def event(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._line(headline(event.name, event.file))
        elif isinstance(event, StepEnded) and is_worth_a_line(event):
            self._line(f"  {event.outcome:<9} {event.seconds:7.3f} s  {where(event):<8} {event.title}")
            for reason in reasons(event):
                self._line(f"      {reason}")

    def watch(self, name: str) -> None:
        return None

    def result(self, result: Result) -> None:
        for line in threshold_lines(result):
            self._line(f"  {line}")
        self._line(last_line(result))

    def total(self, total: Total) -> None:
        for line in summarised(total):
            self._line(line)

    def notice(self, text: str) -> None:
        self._line(text)

    async def run(self) -> None:
        await trio.sleep_forever()

    def close(self) -> None:
        self._stream.flush()

    def _line(self, text: str) -> None:
        self._stream.write(printable(text) + "\n")
        self._stream.flush()
