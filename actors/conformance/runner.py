"""Runs cases against one agent, side by side and each within its bound, whatever the agent does.

An agent that hangs, dies, lies or floods costs the cases that meet it, and no more time than their bounds; once it is known
to be gone, the rest is answered at once. What a case made is removed after it. Not for showing results (`report`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import trio

from actors.conformance.case import FallsShort, Hung, Late, Result, Verdict
from actors.conformance.expect import is_loss
from actors.errors import KatrioError, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from actors.conformance.case import Case
    from actors.conformance.subject import Subject, Target

__all__ = ["Progress", "Settings", "run_cases"]

JOBS = 8
# for the cleaning up after one case: a few calls
CLEAN_SECONDS = 12.0
# a new link and a health check, on an agent that may be busy with all the other cases
ALIVE_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run.

    Attributes:
        most_seconds: cuts the cases' own bounds; None leaves them.
        lacks: what the guest is known not to have; cases that need it are unsupported without being run.
    """

    jobs: int = JOBS
    most_seconds: float | None = None
    lacks: frozenset[str] = frozenset()


class Progress(Protocol):
    """Who is told how it goes. Every method returns at once."""

    def started(self, case: Case) -> None:
        """A case has begun."""
        ...

    def ended(self, result: Result) -> None:
        """And has ended."""
        ...


class _Silent:
    def started(self, case: Case) -> None:
        pass

    def ended(self, result: Result) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _Gone:
    """Why nothing more is asked."""

    verdict: Verdict
    seen: str


async def run_cases(
    target: Target, cases: Sequence[Case], settings: Settings | None = None, progress: Progress | None = None
) -> list[Result]:
    """Every case, in any order; results in the order of the cases.

    Those that must be alone come after the others, then the risky ones, and the destructive ones last. Cancelled: what was made is removed, and
    `progress` has been told what had ended.

    Raises: AgentUnreachable, AgentProtocolError: the agent can't be asked anything.
    """
    run = _Run(target, settings or Settings(), progress or _Silent())
    async with target.open_target():
        safe = [case for case in cases if not case.risky and not case.destructive]
        await run.all([case for case in safe if not case.alone], run.settings.jobs)
        await run.all([case for case in safe if case.alone], 1)
        await run.all([case for case in cases if case.risky and not case.destructive], 1)
        await run.all([case for case in cases if case.destructive], 1)
    return [run.results[case.id] for case in cases]


class _Run:
    def __init__(self, target: Target, settings: Settings, progress: Progress) -> None:
        self.settings = settings
        self.results: dict[str, Result] = {}
        self._target = target
        self._progress = progress
        self._gone: _Gone | None = None
        self._looking = trio.Lock()
        # a dict for its order
        self._running: dict[str, None] = {}

    async def all(self, cases: Sequence[Case], jobs: int) -> None:
        todo = iter(cases)

        async def work() -> None:
            for case in todo:
                await self._one(case)

        async with trio.open_nursery() as nursery:
            for _ in range(min(jobs, len(cases))):
                nursery.start_soon(work)

    async def _one(self, case: Case) -> None:
        began = trio.current_time()
        self._progress.started(case)
        self._running[case.id] = None
        missing = [need for need in case.needs if need in self.settings.lacks]
        if missing:
            await trio.lowlevel.checkpoint()
            verdict, expected, seen = Verdict.UNSUPPORTED, "", f"it needs {', '.join(missing)}"
        elif self._gone is not None:
            await trio.lowlevel.checkpoint()
            verdict, expected, seen = self._gone.verdict, case.expects, self._gone.seen
        else:
            verdict, expected, seen = await self._asked(case)
        del self._running[case.id]
        result = Result(case, verdict, expected, seen, trio.current_time() - began)
        self.results[case.id] = result
        self._progress.ended(result)

    async def _asked(self, case: Case) -> tuple[Verdict, str, str]:
        subject: list[Subject] = []
        try:
            found = await self._within_bound(case, subject)
        finally:
            trouble = await self._clean(case, subject)
        if found is None:
            return (Verdict.HOLDS, "", "") if trouble is None else trouble
        return found

    async def _within_bound(self, case: Case, subject: list[Subject]) -> tuple[Verdict, str, str] | None:
        """None: it holds."""
        seconds = min(case.seconds, self.settings.most_seconds or case.seconds)
        failure: BaseException | None = None
        with trio.move_on_after(seconds) as bound:
            try:
                async with self._target.open_subject(trio.current_time() + seconds) as opened:
                    subject.append(opened)
                    await case.run(opened)
            except Exception as error:  # whatever an agent made of a case, the others go on
                failure = _foremost(error)
        if bound.cancelled_caught:
            return await self._hung(case, seconds, subject)
        if failure is None:
            return None
        return await self._judged(case, failure)

    async def _hung(self, case: Case, seconds: float, subject: list[Subject]) -> tuple[Verdict, str, str]:
        calls = ", ".join(subject[0].unanswered[:4]) if subject else "a link"
        seen = f"after {seconds:g} s no answer to: {calls}" if calls else f"not done after {seconds:g} s"
        await self._look(case)
        return Verdict.HUNG, case.expects, seen

    async def _judged(self, case: Case, failure: BaseException) -> tuple[Verdict, str, str]:
        match failure:
            case Late():
                await self._look(case)
                return Verdict.FALLS_SHORT, failure.expected, failure.seen
            case FallsShort():
                return Verdict.FALLS_SHORT, failure.expected, failure.seen
            case Hung():
                await self._look(case)
                return Verdict.HUNG, case.expects, failure.seen
            case Unsupported():
                return Verdict.UNSUPPORTED, "", failure.message
            case KatrioError() if is_loss(failure):
                await self._look(case)
                if self._gone is not None:
                    return self._gone.verdict, case.expects, self._gone.seen
                return (
                    Verdict.FALLS_SHORT,
                    case.expects,
                    f"{failure.code}: {failure.message} (it answers on a new link)",
                )
            case KatrioError():
                return Verdict.FALLS_SHORT, case.expects, f"{failure.code}: {failure.message}"
            case _:
                # an answer that no case was written for
                return Verdict.FALLS_SHORT, case.expects, f"the case broke: {type(failure).__name__}: {failure}"

    async def _look(self, case: Case) -> None:
        """Whether the agent is still there; the first look that fails is the last."""
        async with self._looking:
            if self._gone is not None:
                return
            running = ", ".join(self._running)
            with trio.move_on_after(ALIVE_SECONDS) as bound:
                try:
                    await self._target.check_alive()
                except Hung as error:
                    self._gone = _Gone(Verdict.HUNG, f"it hangs since {running}: {error.seen}")
                except KatrioError as error:
                    self._gone = _Gone(Verdict.AGENT_DIED, f"it was gone after {running}: {error.message}")
            if bound.cancelled_caught:
                self._gone = _Gone(Verdict.HUNG, f"it answers nothing since {running}")

    async def _clean(self, case: Case, subject: list[Subject]) -> tuple[Verdict, str, str] | None:
        """Also on a cancel; None: nothing is left."""
        if not subject or self._gone is not None:
            return None
        with trio.move_on_after(CLEAN_SECONDS, shield=True) as bound:
            try:
                await subject[0].clean()
            except FallsShort as error:
                return Verdict.FALLS_SHORT, error.expected, error.seen
            except (KatrioError, Hung) as error:
                return await self._judged(case, error)
        if bound.cancelled_caught:
            await self._look(case)
            return Verdict.HUNG, "what a case made can be removed after it", f"not removed after {CLEAN_SECONDS:g} s"
        return None


def _foremost(error: BaseException) -> BaseException:
    """Of several at once: what was expected says more than what came of it."""
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
