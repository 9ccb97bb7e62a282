"""Runs cases against an agent that can be restarted, so that no case affects another.

One new agent for parallel cases and one for risky ones, another whenever one was lost, and one per destructive case. If
several cases were running when an agent was lost, they are run again, each on an agent of its own, to find the one
responsible. Running is in `runner`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from actors.conformance.case import LOST, Result, Verdict
from actors.conformance.runner import Life, Phase, Progress, Settings, phases
from actors.errors import KatrioError
from transports.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from actors.conformance.case import Case
    from actors.conformance.runner import Loss
    from actors.conformance.subject import Target

    OpenAgent: TypeAlias = Callable[[], AbstractAsyncContextManager[Target]]

__all__ = ["run_fresh"]


async def run_fresh(
    open_agent: OpenAgent, cases: Sequence[Case], settings: Settings | None = None, progress: Progress | None = None
) -> list[Result]:
    """Run every case; results in the order of the cases.

    Args:
        open_agent: a new agent, for the lifetime of its context.

    Raises: what `open_agent` raises the first time; if it fails later, the remaining cases are reported as not asked.
    """
    settings, run = settings or Settings(), _Run(open_agent, progress or Progress())
    run.todo.extend(_agent_runs(cases, settings.jobs))
    await run.all(settings)
    return [run.results[case.id] for case in cases]


def _agent_runs(cases: Sequence[Case], jobs: int) -> list[list[Phase]]:
    """The phases for each agent."""
    together = [case for case in cases if not case.destructive]
    lives = [phases(together, jobs)] if together else []
    return lives + [_alone(case) for case in cases if case.destructive]


def _alone(case: Case) -> list[Phase]:
    return [Phase((case,), 1)]


class _Run:
    """See `run_fresh`. At the end `results` has one per case."""

    def __init__(self, open_agent: OpenAgent, progress: Progress) -> None:
        self.todo: deque[list[Phase]] = deque()
        self.results: dict[str, Result] = {}
        self._open_agent = open_agent
        self._progress = progress
        self._suspected_losses: list[Loss] = []

    async def all(self, settings: Settings) -> None:
        while self.todo:
            life = self.todo.popleft()
            try:
                async with self._open_agent() as target:
                    await self._live(target, life, settings)
            except (KatrioError, TransportError, OSError) as error:
                if not self.results:
                    raise
                self._not_asked(life, f"a fresh agent could not be had: {error}")
        for loss in self._suspected_losses:
            self._judge(loss)

    async def _live(self, target: Target, life: list[Phase], settings: Settings) -> None:
        agent = Life(target, settings, self._progress, another=True)
        try:
            async with target.open_target():
                for phase in life:
                    await agent.run(phase)
        finally:
            for result in agent.results:
                self.results[result.case.id] = result
        if agent.left:
            self.todo.extendleft(reversed(_agent_runs(agent.left, settings.jobs)))
        if agent.lost is not None and len(agent.lost.suspects) > 1:
            self._suspected_losses.append(agent.lost)
            self.todo.extendleft(_alone(case) for case in reversed(agent.lost.suspects))

    def _not_asked(self, life: list[Phase], why: str) -> None:
        for phase in life:
            for case in phase.cases:
                if case.id not in self.results:
                    self._record(Result(case, Verdict.NOT_ASKED, case.expects, why, 0.0))

    def _judge(self, loss: Loss) -> None:
        """If none of the running cases alone caused the loss, it is reported for all of them."""
        if any(self.results[case.id].verdict in LOST for case in loss.suspects):
            return
        for case in loss.suspects:
            self._record(Result(case, loss.verdict, case.expects, f"{loss.seen}; none of them alone does it", 0.0))

    def _record(self, result: Result) -> None:
        self.results[result.case.id] = result
        self._progress.ended(result)
