"""What is told of one run of the suite, and the words that its reports share.

For the reports. Not for running cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.conformance.case import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actors.conformance.case import Case, Result

__all__ = ["GREEN", "Told", "summary_line"]

# what leaves the suite green
GREEN = (Verdict.HOLDS, Verdict.UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class Told:
    """One run.

    Attributes:
        spoken, address, version: of the agent; the version is its own word.
        results: of the cases that ended, in the order of the catalogue.
        not_run: those that an interrupt left out.
    """

    spoken: str
    address: str
    version: str
    results: Sequence[Result]
    not_run: Sequence[Case]
    seconds: float

    @property
    def counts(self) -> Mapping[str, int]:
        """How many of each verdict, also of those that there are none of."""
        verdicts = [result.verdict for result in self.results]
        return {str(verdict): verdicts.count(verdict) for verdict in Verdict}


def summary_line(told: Told) -> str:
    """The counts, the worst of them not hidden among the others."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in told.counts.items() if count)
    left = f"; {len(told.not_run)} not run: interrupted" if told.not_run else ""
    cases = len(told.results)
    return f"{cases} case{'' if cases == 1 else 's'} in {told.seconds:.1f} s: {counts or 'none ended'}{left}"
