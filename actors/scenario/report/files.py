"""What reports that end up in files have in common: they say nothing while a run goes on.

For `journal`, `junit` and `html`. Not for opening files: they are given one that is open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from actors.scenario.report.summary import Total
    from actors.scenario.stage.events import Event
    from actors.scenario.stage.results import Result

__all__ = ["FileReport"]


class FileReport:
    """See `Report`: a listener with nothing to show."""

    def event(self, event: Event) -> None:
        """Take note of an event."""

    def watch(self, name: str) -> None:
        """Nothing is shown."""

    def result(self, result: Result) -> None:
        """Take note of a result."""

    def total(self, total: Total) -> None:
        """Whoever reads a file can add."""

    def notice(self, text: str) -> None:
        """Notices are for people."""

    async def run(self) -> None:
        """Nothing to keep up to date."""
        await trio.sleep_forever()

    def close(self) -> None:
        """Write what is to be written. Idempotent."""
