"""Runs cases against one agent, in parallel and each with a time limit, whatever the agent does.

An agent that hangs, dies, lies or floods fails only the cases affected. Its liveness is checked after each expired time
limit, each lost link and each case that is known to end agents; the first failed check ends the run: running cases are
aborted and reported as suspects, a single one as the cause, and the rest are not asked. So a lost agent costs one time
limit in all. What a case made is removed after it. For agents that can be restarted: `fresh`; results are shown in
`report`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

import trio

from actors.conformance.case import LOST, FallsShort, Hung, Late, Result, Verdict
from actors.conformance.expect import is_loss
from actors.errors import KatrioError, Unsupported
from actors.reporting.base import Report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from actors.conformance.case import Case
    from actors.conformance.findings import Findings
    from actors.conformance.subject import Subject, Target

__all__ = ["Life", "Loss", "Phase", "Progress", "Settings", "phases", "run_cases"]

JOBS = 8
# clean-up after one case: a few calls for each of its containers, in parallel
CLEAN_SECONDS = 30.0
# a new link and two calls, on an agent that may be busy with all other cases
ALIVE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Options of a run.

    Attributes:
        most_seconds: upper limit on the cases' own time limits; None for none.
        lacks: features that the guest is known to lack; cases that need them are unsupported without being run.
    """

    jobs: int = JOBS
    most_seconds: float | None = None
    lacks: frozenset[str] = frozenset()


class Progress(Report):
    """Progress callbacks; these do nothing. Every method returns at once."""

    def started(self, case: Case) -> None:
        """A case has started; called again if it is run again on a new agent."""

    def ended(self, result: Result) -> None:
        """A case has ended."""


class Phase(NamedTuple):
    """Cases to run with at most `jobs` in parallel."""

    cases: tuple[Case, ...]
    jobs: int


class Found(NamedTuple):
    """The result of a case that did not pass."""

    verdict: Verdict
    expected: str = ""
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Loss:
    """Why an agent is not asked any more. `suspects`: the cases that were running."""

    verdict: Verdict
    seen: str
    suspects: tuple[Case, ...]


def phases(cases: Sequence[Case], jobs: int) -> list[Phase]:
    """The order of cases on one agent: those that may disable it last."""
    order = (
        ([case for case in cases if not case.costly and not case.alone], jobs),
        ([case for case in cases if not case.costly and case.alone], 1),
        ([case for case in cases if case.risky and not case.destructive], 1),
        ([case for case in cases if case.fatal and not case.destructive], 1),
        ([case for case in cases if case.destructive and not case.ends], 1),
        ([case for case in cases if case.destructive and case.ends], 1),
    )
    return [Phase(tuple(some), at_once) for some, at_once in order if some]


async def run_cases(
    target: Target, cases: Sequence[Case], settings: Settings | None = None, progress: Progress | None = None
) -> list[Result]:
    """Run every case, in any order; results in the order of the cases.

    If cancelled: what was made is removed, and `progress` has been called for what had ended.

    Raises: AgentUnreachable, AgentProtocolError: the agent can't be reached.
    """
    settings = settings or Settings()
    life = Life(target, settings, progress or Progress())
    async with target.open_target():
        for phase in phases(cases, settings.jobs):
            await life.run(phase)
    results = {result.case.id: result for result in life.results}
    return [results[case.id] for case in cases]


class Life:
    """One agent, from its first case until it is lost.

    Args:
        another: there will be another agent: cases not asked of this one go to `left`, and shared suspicion is not reported.
    """

    def __init__(self, target: Target, settings: Settings, progress: Progress, *, another: bool = False) -> None:
        self.settings = settings
        self.results: list[Result] = []
        self.left: list[Case] = []
        self.lost: Loss | None = None
        self._target = target
        self._progress = progress
        self._another = another
        self._looking = trio.Lock()
        # a dict, for insertion order
        self._running: dict[str, tuple[Case, trio.CancelScope]] = {}

    async def run(self, phase: Phase) -> None:
        """Run the cases of one phase. The target is open."""
        todo = iter(phase.cases)

        async def work() -> None:
            for case in todo:
                await self._one(case)

        async with trio.open_nursery() as nursery:
            for _ in range(min(phase.jobs, len(phase.cases))):
                nursery.start_soon(work)

    async def _one(self, case: Case) -> None:
        missing = [need for need in case.needs if need in self.settings.lacks]
        if self.lost is not None and self._another and not missing:
            await trio.lowlevel.checkpoint()
            self.left.append(case)
            return
        began = trio.current_time()
        self._progress.started(case)
        if missing:
            await trio.lowlevel.checkpoint()
            found = Found(Verdict.UNSUPPORTED, seen=f"it needs {', '.join(missing)}")
        elif self.lost is not None:
            await trio.lowlevel.checkpoint()
            found = Found(Verdict.NOT_ASKED, case.expects, self.lost.seen)
        else:
            found = await self._asked(case)
            if self._another and self.lost is not None and case in self.lost.suspects and len(self.lost.suspects) > 1:
                return
        result = Result(case, *found, trio.current_time() - began)
        self.results.append(result)
        self._progress.ended(result)

    async def _asked(self, case: Case) -> Found:
        subject: list[Subject] = []
        found, trouble = None, None
        scope = trio.CancelScope()
        self._running[case.id] = case, scope
        try:
            with scope:
                try:
                    found = await self._within_bound(case, subject)
                finally:
                    trouble = await self._clean(case, subject)
                await self._after(case, subject)
        except Exception:  # an exception from a case that was aborted with its agent
            if self.lost is None:
                raise
        finally:
            del self._running[case.id]
        if scope.cancel_called and self.lost is not None:
            return Found(self.lost.verdict, case.expects, self.lost.seen)
        findings = subject[0].findings if subject else None
        found = _with_findings(found or trouble, findings)
        lost = self.lost
        if (
            lost is None
            or lost.verdict not in LOST
            or case not in lost.suspects
            or found.verdict is Verdict.UNSUPPORTED
        ):
            return found
        seen = "; ".join(dict.fromkeys(words for words in (found.seen, lost.seen) if words))
        return Found(lost.verdict, found.expected or case.expects, seen)

    async def _within_bound(self, case: Case, subject: list[Subject]) -> Found | None:
        """None: it passed."""
        seconds = min(case.seconds, self.settings.most_seconds or case.seconds) * self._target.slow
        failure: BaseException | None = None
        bound = trio.move_on_after(seconds)
        try:
            with bound:
                async with self._target.open_subject(trio.current_time() + seconds) as opened:
                    subject.append(opened)
                    await case.run(opened)
        except Exception as error:  # whatever an agent makes of a case, the others continue
            failure = _primary_error(error)
        if bound.cancelled_caught:
            return await self._hung(case, seconds, subject)
        if failure is None:
            return None
        return await self._verdict_of(case, failure, subject)

    async def _hung(self, case: Case, seconds: float, subject: list[Subject]) -> Found:
        calls = _calls(subject) if subject else "a link"
        seen = f"after {seconds:g} s no answer to {calls}" if calls else f"not done after {seconds:g} s"
        await self._look(case, subject)
        return Found(Verdict.HUNG, case.expects, seen)

    async def _verdict_of(self, case: Case, failure: BaseException, subject: list[Subject]) -> Found:
        match failure:
            case Late():
                await self._look(case, subject)
                return Found(Verdict.FALLS_SHORT, failure.expected, failure.seen)
            case FallsShort():
                return Found(Verdict.FALLS_SHORT, failure.expected, failure.seen)
            case Hung():
                await self._look(case, subject)
                return Found(Verdict.HUNG, case.expects, failure.seen)
            case Unsupported():
                return Found(Verdict.UNSUPPORTED, seen=failure.message)
            case KatrioError() if is_loss(failure):
                await self._look(case, subject)
                seen = f"{failure.code}: {failure.message}"
                on_new = "" if self.lost is not None else " (it answers on a new link)"
                return Found(Verdict.FALLS_SHORT, case.expects, f"{seen}{on_new}")
            case KatrioError():
                return Found(Verdict.FALLS_SHORT, case.expects, f"{failure.code}: {failure.message}")
            case _:
                # an answer that the case did not foresee
                seen = f"the case broke: {type(failure).__name__}: {failure}"
                return Found(Verdict.FALLS_SHORT, case.expects, seen)

    async def _after(self, case: Case, subject: list[Subject]) -> None:
        """Wait for an agent that may exit after its last reply, so that it does not fail the next case."""
        if subject and subject[0].findings.agent_ended and self.lost is None:
            self.lost = Loss(
                Verdict.NOT_ASKED, f"the agent has ended with its sandbox, as it may, in {case.id}", (case,)
            )
        elif case.costly:
            await self._look(case, subject)

    async def _look(self, case: Case, subject: list[Subject]) -> None:
        """Check the agent's liveness; the first failed check ends the run."""
        async with self._looking:
            if self.lost is not None:
                return
            verdict, why = None, ""
            with trio.move_on_after(ALIVE_SECONDS * self._target.slow) as bound:
                try:
                    await self._target.check_alive()
                except Hung as error:
                    verdict, why = Verdict.HUNG, error.seen
                except KatrioError as error:
                    verdict, why = Verdict.AGENT_DIED, error.message
            if bound.cancelled_caught:
                verdict, why = Verdict.HUNG, "no answer to anything"
            if verdict is not None:
                self._lose(verdict, why, case, subject)

    def _lose(self, verdict: Verdict, why: str, case: Case, subject: list[Subject]) -> None:
        suspects = tuple(each for each, _ in self._running.values())
        what = "the agent hangs since" if verdict is Verdict.HUNG else "the agent was gone after"
        # for a dead agent, earlier unanswered calls are irrelevant
        calls = _calls(subject, lost=verdict is Verdict.AGENT_DIED)
        if len(suspects) == 1:
            who = f"{case.id}{calls and f' ({calls})'}"
        else:
            who = f"one of {', '.join(each.id for each in suspects)}"
            who += calls and f", as {case.id} found ({calls})"
        self.lost = Loss(verdict, f"{what} {who}: {why}", suspects)
        for each, scope in self._running.values():
            if each is not case:
                scope.cancel()

    async def _clean(self, case: Case, subject: list[Subject]) -> Found | None:
        """Runs even if cancelled; None: everything was removed."""
        if not subject or self.lost is not None:
            return None
        bound = trio.move_on_after(CLEAN_SECONDS * self._target.slow, shield=True)
        try:
            with bound:
                subject[0].findings.begin_cleaning()
                await subject[0].clean()
        except Exception as error:  # there may be one per container
            return await self._verdict_of(case, _primary_error(error), subject)
        if bound.cancelled_caught:
            await self._look(case, subject)
            seen = f"not removed after {CLEAN_SECONDS * self._target.slow:g} s"
            return Found(Verdict.HUNG, "what a case made can be removed after it", seen)
        return None


def _calls(subject: list[Subject], *, lost: bool = False) -> str:
    """A case's unanswered calls, or those in flight when the agent was lost."""
    if not subject:
        return ""
    findings = subject[0].findings
    calls = (lost and findings.lost) or findings.unanswered
    return ", ".join(dict.fromkeys(calls[:4]))


def _with_findings(found: Found | None, findings: Findings | None) -> Found:
    """Add the findings recorded during the case."""
    if findings is None or (found is not None and found.verdict is Verdict.UNSUPPORTED):
        return found or Found(Verdict.HOLDS)
    more = (*findings.failures, *findings.wrong_codes)
    if found is None and not more:
        return Found(Verdict.HOLDS)
    if found is None:
        found = Found(Verdict.FALLS_SHORT if findings.failures else Verdict.WRONG_CODE)
    expected = [found.expected, *(each.expected for each in more)]
    seen = [found.seen, *(each.seen for each in more)]
    return Found(found.verdict, "; ".join(filter(None, expected)), "; ".join(filter(None, seen)))


def _primary_error(error: BaseException) -> BaseException:
    """The most informative of several exceptions: an expectation rather than its consequences."""
    found = list(_leaves(error))
    for kind in (FallsShort, Hung, KatrioError):
        for each in found:
            if isinstance(each, kind):
                return each
    return found[0]


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(each)
    else:
        yield error
