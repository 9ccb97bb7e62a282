"""`katrio conformance`: what an agent does in every corner, at an address, or of a guest of our own.

The composition of target, runner and reports stands here. Not for cases (`actors.conformance`), nor for reaching an agent
(`under_test`).

Exit codes: 0 all hold, are unsupported or known, 1 some fall short, hang, or the agent died, 2 usage, 3 the agent can't be reached,
or all hold and a report could not be written, 4 everything is unsupported, 130 (143, 129) interrupted; what had ended is told.
"""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import trio
from rich.console import Console

from actors.cli.exits import Exit
from actors.cli.failures import COMMAND_ERRORS, fail
from actors.cli.report_files import CommandFiles
from actors.cli.say import complain, note, report_error, say
from actors.cli.signals import handle_interrupts
from actors.cli.streams import can_draw
from actors.cli.under_test import open_under_test
from actors.conformance.case import Verdict
from actors.conformance.catalogue import ALL, chosen
from actors.conformance.fresh import run_fresh
from actors.conformance.known import Known, read_known
from actors.conformance.report.base import SuiteRun
from actors.conformance.report.html import as_html
from actors.conformance.report.programs import as_json, as_junit, cases_json
from actors.conformance.report.table import LiveProgress, print_cases, print_table
from actors.conformance.runner import Progress, Settings, run_cases
from actors.errors import InvalidArgument
from actors.node.protocols import GuestProtocol
from actors.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.cli.options.conformance import ConformanceOptions
    from actors.conformance.case import Case, Result
    from actors.conformance.fresh import OpenAgent
    from actors.conformance.subject import Target

__all__ = ["conformance"]


def conformance(options: ConformanceOptions) -> int:
    """Run the cases; the exit code."""
    protocol = GuestProtocol.of(options.agent, options.dialect)
    cases = chosen(
        protocol, words=options.words, skipped=options.skipped, destructive=options.destructive or options.listing
    )
    for option, words in (("--filter", options.words), ("--skip", options.skipped)):
        for word in words:
            if not chosen(protocol, words=(word,), destructive=True):
                meant = did_you_mean(
                    word, {case.id for case in ALL} | {part for case in ALL for part in case.id.split(".")}
                )
                complain(f"{option}: no case has {word!r} in id or title{meant}; katrio conformance --list")
                return Exit.USAGE
    if not cases:
        without = f" and none of {', '.join(options.skipped)}" if options.skipped else ""
        complain(f"no case has one of {', '.join(options.words) or 'all words'}{without}; katrio conformance --list")
        return Exit.USAGE
    if options.listing:
        if options.json:
            say(cases_json(cases))
        else:
            print_cases(Console(highlight=False), cases)
        return Exit.HELD
    files = CommandFiles()
    try:
        session = _Session(options, protocol, cases, _known(options))
        files.add(options.junit, lambda: as_junit(session.suite))
        files.add(options.html, lambda: as_html(session.suite))
    except (InvalidArgument, OSError) as error:
        report_error(error)
        return Exit.USAGE
    try:
        code = trio.run(session.run)
    except COMMAND_ERRORS as error:
        return fail(error)
    try:
        _print(options, session.suite)
    finally:
        files.write()
    return files.settle(code)


def _known(options: ConformanceOptions) -> Known:
    """Raises: InvalidArgument, OSError."""
    if options.known is None:
        return {}
    text = options.known.read_bytes().decode(errors="replace")
    return read_known(text, str(options.known), {case.id for case in ALL})


class _Session:
    """One run, of which the results are kept as they come: an interrupt leaves those that there are."""

    def __init__(
        self, options: ConformanceOptions, protocol: GuestProtocol, cases: tuple[Case, ...], known: Known
    ) -> None:
        self._known = known
        self._options = options
        self._protocol = protocol
        self._cases = cases
        self._results: dict[str, Result] = {}
        self._seconds = 0.0
        self._version = ""
        # a dict for its order: fresh agents have much in common
        self._notes: dict[str, None] = {}
        self._address = " and ".join(map(str, options.addresses)) or "a guest of katrio's own"
        self._interrupted = False

        self._watching = self._watcher()
        self._progress = _RecordingProgress(self._results, self._watching)

    @property
    def suite(self) -> SuiteRun:
        """What there is to tell."""
        return SuiteRun(
            protocol=self._protocol.label,
            address=self._address,
            version=self._version,
            notes=tuple(self._notes),
            results=[self._results[case.id] for case in self._cases if case.id in self._results],
            not_run=[case for case in self._cases if case.id not in self._results],
            seconds=self._seconds,
            known=self._known,
        )

    async def run(self) -> Exit:
        """The exit code. Raises: KatrioError, TransportError, when the agent can't be asked."""
        failures: list[Exception] = []
        async with trio.open_nursery() as nursery:
            await nursery.start(handle_interrupts, partial(self._interrupt, nursery.cancel_scope), self._watching.close)
            nursery.start_soon(self._watching.run)
            try:
                await self._run()
            except COMMAND_ERRORS as error:  # raised below, bare: a nursery would wrap it
                failures.append(error)
            nursery.cancel_scope.cancel()
        if self._interrupted:
            return Exit.INTERRUPTED
        if failures:
            raise failures[0]
        return _exit(self.suite)

    async def _run(self) -> None:
        began = trio.current_time()
        try:
            async with open_under_test(self._options, self._protocol) as (open_agent, address, lacks):
                self._address = address
                settings = Settings(jobs=self._options.jobs, lacks=lacks)
                opened = partial(self._opened, open_agent)
                if self._options.command:
                    await run_fresh(opened, self._cases, settings, self._progress)
                    return
                async with opened() as target:
                    await run_cases(target, self._cases, settings, self._progress)
        finally:
            self._seconds = trio.current_time() - began

    @asynccontextmanager
    async def _opened(self, open_agent: OpenAgent) -> AsyncGenerator[Target]:
        async with open_agent() as target:
            try:
                yield target
            finally:
                self._version = target.version or self._version
                self._notes.update(dict.fromkeys(target.notes))

    def _watcher(self) -> Progress:
        """Shows what is under way on a terminal, elsewhere what has ended: on stderr, so that stdout has the results alone."""
        if can_draw(sys.stderr):
            return LiveProgress(Console(stderr=True), len(self._cases))
        return Progress() if self._options.json else _Lines(len(self._cases))

    def _interrupt(self, scope: trio.CancelScope) -> None:
        self._interrupted = True
        complain("cleaning up; ^C again stops at once")
        scope.cancel()


class _Lines(Progress):
    """A line for each case as it ends, so that a log grows, and of a run that is killed it is known how
    far it came."""

    def __init__(self, cases: int) -> None:
        self._ended = 0
        self._cases = cases

    def ended(self, result: Result) -> None:
        self._ended += 1
        # who does not take them may still take the results
        with suppress(OSError):
            note(f"{self._ended}/{self._cases} {result.case.id}: {result.verdict}, {result.seconds:.1f} s")


class _RecordingProgress(Progress):
    def __init__(self, results: dict[str, Result], watching: Progress) -> None:
        self._results = results
        self._watching = watching

    def started(self, case: Case) -> None:
        self._watching.started(case)

    def ended(self, result: Result) -> None:
        self._results[result.case.id] = result
        self._watching.ended(result)


def _exit(suite: SuiteRun) -> Exit:
    if suite.new_failures:
        return Exit.FAILED
    if all(result.verdict is Verdict.UNSUPPORTED for result in suite.results):
        return Exit.ALL_SKIPPED
    return Exit.HELD


def _print(options: ConformanceOptions, suite: SuiteRun) -> None:
    if options.json:
        say(as_json(suite))
    else:
        print_table(Console(highlight=False), suite)
