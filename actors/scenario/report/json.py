"""A run as one JSON object on one line, when it has ended: for programs.

Its fields are those of `actors.scenario.stage.results.Result`; fields may be added, none changes its meaning.
Notices go to the error stream, so that the output is JSON alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.scenario.report.base import json_text
from transports.plain import printable

if TYPE_CHECKING:
    from typing import TextIO

    from actors.scenario.report.summary import Total
    from actors.scenario.stage.events import Event
    from actors.scenario.stage.results import Result

__all__ = ["JsonReport"]


class JsonReport:
    """See `Report`."""

    def __init__(self, stream: TextIO, errors: TextIO) -> None:
        self._stream = stream
        self._errors = errors

    def event(self, event: Event) -> None:
        pass

    def watch(self, name: str) -> None:
        return None

    def result(self, result: Result) -> None:
        self._stream.write(json_text(result) + "\n")
        self._stream.flush()

    def total(self, total: Total) -> None:
        self._stream.write(json_text(total) + "\n")
        self._stream.flush()

    def notice(self, text: str) -> None:
        self._errors.write(printable(text) + "\n")

    async def run(self) -> None:
        await trio.sleep_forever()

    def close(self) -> None:
        self._stream.flush()
