"""The results of one run of the suite, and the texts that its reports share.

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

__all__ = ["SuiteRun", "summary_line"]


@dataclass(frozen=True, slots=True)
class SuiteRun:
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
    def new_failures(self) -> tuple[Result, ...]:
        """What does not hold, and was not known."""
        return tuple(each for each in self.results if each.verdict not in GREEN and not is_known(each, self.known))

    @property
    def known_failures(self) -> tuple[Result, ...]:
        """What does not hold, as was known."""
        return tuple(each for each in self.results if is_known(each, self.known))

    @property
    def passing_known(self) -> tuple[Result, ...]:
        """What was known not to hold, and holds by now."""
        return tuple(each for each in self.results if each.case.id in self.known and each.verdict is Verdict.HOLDS)

    @property
    def not_asked(self) -> Mapping[str, Sequence[Result]]:
        """New failures that were not run, by reason: many share one."""
        found: dict[str, list[Result]] = {}
        for each in self.new_failures:
            if each.verdict is Verdict.NOT_ASKED:
                found.setdefault(each.seen, []).append(each)
        return found

    @property
    def counts(self) -> Mapping[str, int]:
        """How many of each verdict, also of those that there are none of."""
        verdicts = Counter(result.verdict for result in self.results)
        return {str(verdict): verdicts[verdict] for verdict in Verdict}


def summary_line(suite: SuiteRun) -> str:
    """The counts, the worst of them not hidden among the others."""
    counts = tally(suite.counts) or "none ended"
    known = f"; {len(suite.known_failures)} known" if suite.known_failures else ""
    left = f"; {len(suite.not_run)} not run: interrupted" if suite.not_run else ""
    return f"{counted(len(suite.results), 'case')} in {suite.seconds:.1f} s: {counts}{known}{left}"
