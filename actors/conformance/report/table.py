"""A run as a table for people: a line for each case, below it what was expected and seen of one that does not hold.

Coloured on a terminal, plain elsewhere. On a terminal `LiveProgress` also shows what is under way. Programs have `programs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.conformance.case import GREEN, Verdict
from actors.conformance.report.base import summary_line
from actors.conformance.runner import Progress
from actors.reporting.screen import Screen, Words, progress
from actors.reporting.texts import tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

    from actors.conformance.case import Case, Result
    from actors.conformance.report.base import SuiteRun

__all__ = ["LiveProgress", "print_cases", "print_table"]

STYLES = {
    Verdict.HOLDS: "green",
    Verdict.UNSUPPORTED: "dim",
    Verdict.WRONG_CODE: "red",
    Verdict.FALLS_SHORT: "bold red",
    Verdict.HUNG: "bold yellow",
    Verdict.AGENT_DIED: "bold magenta",
    Verdict.NOT_ASKED: "yellow",
}
_VERDICT_WIDTH = max(len(verdict) for verdict in Verdict)


def print_table(console: Console, suite: SuiteRun) -> None:
    """The whole run in the order of the catalogue; what does not hold stands last, where people look first."""
    version = f" ({suite.version})" if suite.version else ""
    console.print(Words(f"{suite.protocol} agent at {suite.address}{version}", style="bold"), soft_wrap=True)
    width = max((len(result.case.id) for result in suite.results), default=0)
    for result in suite.results:
        if result.verdict in GREEN:
            print_result(console, result, width)
    for result in suite.known_failures:
        _print_line(console, result, width, ("known ", "dim"))
    for result in suite.new_failures:
        if result.verdict is not Verdict.NOT_ASKED:
            print_result(console, result, width)
    for why, some in suite.not_asked.items():
        for result in some:
            _print_line(console, result, width)
        console.print(Words(f"    {'seen':<8} {why}", style="red"), soft_wrap=True)
    green = not suite.new_failures and not suite.not_run
    console.print()
    for note in suite.notes:
        console.print(Words(note, style="bold"), soft_wrap=True)
    if suite.passing_known:
        ids = ", ".join(each.case.id for each in suite.passing_known)
        console.print(Words(f"known not to hold, and hold by now: {ids}", style="bold"), soft_wrap=True)
    console.print(Words(summary_line(suite), style="green" if green else "bold"), soft_wrap=True)


def _print_line(console: Console, result: Result, width: int, *before: tuple[str, str]) -> None:
    line = Words.assemble(
        *before,
        (f"{result.verdict:<{_VERDICT_WIDTH}}", STYLES[result.verdict]),
        f"  {result.case.id:<{width}}",
        (f"  {result.seconds:7.2f} s  ", "dim"),
        (result.case.title, "" if result.verdict not in GREEN else "dim"),
    )
    console.print(line, soft_wrap=True)


def print_result(console: Console, result: Result, width: int = 0) -> None:
    """One case."""
    _print_line(console, result, width)
    if result.verdict not in GREEN:
        for word, text in (("does", result.case.does), ("expected", result.expected), ("seen", result.seen)):
            console.print(Words(f"    {word:<8} {text}", style="red" if word == "seen" else ""), soft_wrap=True)
        console.print(Words(f"    why      {result.case.why}", style="dim"), soft_wrap=True)
    elif result.seen:
        console.print(Words(f"    {result.seen}", style="dim"), soft_wrap=True)


def print_cases(console: Console, cases: tuple[Case, ...]) -> None:
    """What would be run, with what each does."""
    for case in cases:
        marks = [*case.needs, *(["destructive"] if case.destructive else [])]
        console.print(
            Words.assemble((case.id, "bold"), f"  {case.title}", (f"  [{', '.join(marks)}]" if marks else "", "dim")),
            soft_wrap=True,
        )
        for word, text in (("does", case.does), ("expects", case.expects), ("why", case.why)):
            console.print(Words(f"    {word:<7} {text}", "dim"), soft_wrap=True)


class LiveProgress(Screen, Progress):
    """What is under way; `cases` is how many there will be."""

    def __init__(self, console: Console, cases: int) -> None:
        super().__init__(console)
        self._cases = cases
        self._under_test: dict[str, float] = {}
        self._verdicts: dict[str, Verdict] = {}

    def started(self, case: Case) -> None:
        self._under_test[case.id] = trio.current_time()

    def ended(self, result: Result) -> None:
        self._under_test.pop(result.case.id, None)
        self._verdicts[result.case.id] = result.verdict
        if result.verdict not in GREEN:
            line = Words.assemble((f"{result.verdict}  ", STYLES[result.verdict]), result.case.id)
            self._console.print(line, soft_wrap=True)

    async def run(self) -> None:
        self._start()
        try:
            await super().run()
        finally:
            self.close()

    def _now(self) -> Iterator[RenderableType]:
        now = trio.current_time()
        for case, began in list(self._under_test.items())[: self._room]:
            yield self._under_way(case, f"{now - began:.1f} s")
        verdicts = list(self._verdicts.values())
        counts = tally({str(verdict): verdicts.count(verdict) for verdict in Verdict})
        yield progress(len(verdicts), self._cases, f"{len(verdicts)} of {self._cases}  {counts}")
