"""What a report is, whatever it tells of: something that is told as it happens, and is closed at the end.

For the reports of runs, ranges and anything else: each kind adds the methods by which it is told. Not for what they say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

__all__ = ["FileReport", "Report", "Several"]

R = TypeVar("R", bound="Report")


class Report:
    """Says nothing; every method but `run` returns at once."""

    def notice(self, text: str) -> None:
        """One line beside what is told, for people: a warning, or that an orderly stop has begun."""

    async def run(self) -> None:
        """Keep what is shown up to date, until cancelled."""
        await trio.sleep_forever()

    def close(self) -> None:
        """Leave the terminal as it was found; write what is to be written. Idempotent."""


class FileReport(Report):
    """Says nothing while work goes on; `stream` gets all of its `text`, and is closed, when the report is."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def text(self) -> str:
        """All that there is to say."""
        raise NotImplementedError

    def close(self) -> None:
        if not self._stream.closed:
            self._stream.write(self.text())
            self._stream.close()


class Several(Report, Generic[R]):
    """Reports of the same. The first one is the one for people: it alone gets notices, and its `run`."""

    def __init__(self, first: R, others: Sequence[R]) -> None:
        self._first = first
        self._all = (first, *others)

    def notice(self, text: str) -> None:
        self._first.notice(text)

    async def run(self) -> None:
        await self._first.run()

    def close(self) -> None:
        for report in self._all:
            report.close()
