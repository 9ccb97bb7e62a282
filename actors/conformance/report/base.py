"""What is told of one run of the suite, and the words that its reports share.

For the reports. Not for running cases.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actors.conformance.case import GREEN, Verdict
from actors.conformance.known import Known, is_known
from actors.reporting.texts import counted, tally

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actors.conformance.case import Case, Result

__all__ = ["Told", "summary_line"]


@dataclass(frozen=True, slots=True)
class Told:
    """One run.

    Attributes:
        protocol, address, version: of the agent; the version is its own word.
        results: of the cases that ended, in the order of the catalogue.
        not_run: those that an interrupt left out.
        known: what the agent's authors know of it.
        notes: what all cases may suffer from, found before the first.
    """

    protocol: str
    address: str
    version: str
    results: Sequence[Result]
    not_run: Sequence[Case]
    seconds: float
    known: Known = field(default_factory=dict[str, "Verdict | None"])
    notes: Sequence[str] = ()

    @property
    def news(self) -> tuple[Result, ...]:
        """What does not hold, and was not known."""
        return tuple(each for each in self.results if each.verdict not in GREEN and not is_known(each, self.known))

    @property
    def expected(self) -> tuple[Result, ...]:
        """What does not hold, as was known."""
        return tuple(each for each in self.results if is_known(each, self.known))

    @property
    def mended(self) -> tuple[Result, ...]:
        """What was known not to hold, and holds by now."""
        return tuple(each for each in self.results if each.case.id in self.known and each.verdict is Verdict.HOLDS)

    @property
    def unasked(self) -> Mapping[str, Sequence[Result]]:
        """What was not asked and is news, by the reason, which many have in common."""
        found: dict[str, list[Result]] = {}
        for each in self.news:
            if each.verdict is Verdict.NOT_ASKED:
                found.setdefault(each.seen, []).append(each)
        return found

    @property
    def counts(self) -> Mapping[str, int]:
        """How many of each verdict, also of those that there are none of."""
        verdicts = Counter(result.verdict for result in self.results)
        return {str(verdict): verdicts[verdict] for verdict in Verdict}


def summary_line(told: Told) -> str:
    """The counts, the worst of them not hidden among the others."""
    counts = tally(told.counts) or "none ended"
    known = f"; {len(told.expected)} known" if told.expected else ""
    left = f"; {len(told.not_run)} not run: interrupted" if told.not_run else ""
    return f"{counted(len(told.results), 'case')} in {told.seconds:.1f} s: {counts}{known}{left}"
