"""Everything that happened, as JSON lines: each event as it happens, then the result.

For programs, for `katrio run --diff`, and for those who look for the cause of a failure. What processes printed is
kept as text up to `OUTPUT_KEPT` a stream, so that a flood of output does not fill a disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from actors.reporting.texts import json_text
from actors.scenario.report.base import RunReport
from actors.scenario.stage.events import Printed, RunStarted
from actors.scenario.stage.outputs import Decoding

if TYPE_CHECKING:
    from typing import TextIO

    from actors.scenario.stage.events import Event
    from actors.scenario.stage.results import Result

__all__ = ["JournalReport"]

# of one stream of one process, in bytes
OUTPUT_KEPT = 64 * 1024


class JournalReport(RunReport):
    """Writes to `stream`, a line at a time; closes it at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # of each stream: its text, and how many bytes of it came
        self._printed: dict[tuple[str, str], tuple[Decoding, int]] = {}

    def event(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._printed.clear()
        if isinstance(event, Printed):
            self._output(event)
        else:
            self._line(msgspec.to_builtins(event))

    def result(self, result: Result) -> None:
        # its steps have lines of their own already
        fields = cast("dict[str, Any]", msgspec.to_builtins(result))
        fields.pop("steps", None)
        self._line({"event": "result", **fields})
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()

    def _output(self, event: Printed) -> None:
        key = (event.process, event.stream)
        decoding, before = self._printed.get(key) or (Decoding(), 0)
        self._printed[key] = decoding, before + len(event.data)
        kept = event.data[: max(0, OUTPUT_KEPT - before)]
        if not kept:
            return
        line: dict[str, Any] = {
            "event": "printed",
            "at": event.at,
            "container": event.container,
            "process": event.process,
            "stream": event.stream,
            "text": decoding.text(kept),
        }
        if len(kept) < len(event.data):
            line["cut"] = f"the first {OUTPUT_KEPT} bytes are kept"
        self._line(line)

    def _line(self, value: object) -> None:
        self._stream.write(json_text(value) + "\n")
