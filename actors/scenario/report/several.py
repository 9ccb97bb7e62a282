"""Several reports of the same runs at once: what a person sees, and the files that were asked for.

For the command line. Not for choosing them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.scenario.report.base import Report
    from actors.scenario.report.summary import Total
    from actors.scenario.stage.events import Event
    from actors.scenario.stage.results import Result

__all__ = ["SeveralReports"]


class SeveralReports:
    """See `Report`. The first one is the one for people: it alone gets notices, and its `run`."""

    def __init__(self, first: Report, others: Sequence[Report]) -> None:
        self._first = first
        self._all = (first, *others)

    def event(self, event: Event) -> None:
        for report in self._all:
            report.event(event)

    def watch(self, name: str) -> Callable[[Event], None] | None:
        return self._first.watch(name)

    def result(self, result: Result) -> None:
        for report in self._all:
            report.result(result)

    def total(self, total: Total) -> None:
        self._first.total(total)

    def notice(self, text: str) -> None:
        self._first.notice(text)

    async def run(self) -> None:
        await self._first.run()

    def close(self) -> None:
        for report in self._all:
            report.close()
