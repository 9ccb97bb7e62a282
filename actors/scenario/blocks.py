"""Steps that hold other steps: again and again, at the same time, while something stands still.

For the runner, which passes itself in as `perform`. Not for single verbs: `steps`.
"""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import trio

from actors.scenario import verbs
from actors.scenario.events import Seen
from actors.scenario.expect import Mismatch, UnknownValue, number_of
from actors.scenario.names import labelled
from actors.scenario.sense import MAX_RATE
from actors.scenario.steps import INFRASTRUCTURE, Observed, act, judge, look, untold

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from actors.scenario.events import Failure, Outcome
    from actors.scenario.model import Step
    from actors.scenario.stage import Attempt, Scope

    Branch = Callable[[], Awaitable[bool]]

__all__ = ["BLOCKS", "Perform", "StepStopped"]

# seconds between two looks: often enough for a person's eye, seldom enough for a guest
LOOK_EVERY = 0.025


class StepStopped(Exception):
    """A step did not hold, and the scenario stops; the journal has been told."""

    def __init__(self, outcome: Outcome, path: str, failure: Failure) -> None:
        super().__init__(path)
        self.outcome = outcome
        self.path = path
        self.failure = failure


class Perform(Protocol):
    """Performs steps one after the other."""

    def __call__(self, steps: Sequence[Step], path: str, scope: Scope) -> Awaitable[bool]:
        """Whether all went without an error, expected ones included. Raises: StepStopped at the first that does not hold."""
        ...


async def _eventually(step: verbs.Eventually, attempt: Attempt, perform: Perform) -> Mismatch | None:
    while True:
        attempt.last = await act(step.eventually, attempt)
        if attempt.last is None or attempt.last.code in INFRASTRUCTURE:
            return attempt.last
        await trio.sleep(LOOK_EVERY)


async def _always(step: verbs.Always, attempt: Attempt, perform: Perform) -> Mismatch | None:
    async def once() -> Mismatch | None:
        return await act(step.always, attempt)

    await _unwatched(step.always, step.while_, attempt, perform)
    return await _watched(once, step.during, step.while_, attempt, perform)


async def _unchanged(step: verbs.Unchanged, attempt: Attempt, perform: Perform) -> Mismatch | None:
    await _unwatched(step.unchanged, step.while_, attempt, perform)
    await trio.sleep(step.settle)
    before = (await look(step.unchanged, attempt)).value

    async def once() -> Mismatch | None:
        now = (await look(step.unchanged, attempt)).value
        return None if now == before else Mismatch(f"to stay {before!r}", repr(now))

    return await _watched(once, step.during, step.while_, attempt, perform)


async def _grows(step: verbs.Grows, attempt: Attempt, perform: Perform) -> Mismatch | None:
    before = _count((await look(step.grows, attempt)).value)
    while True:
        now = _count((await look(step.grows, attempt)).value)
        if now - before >= step.by:
            return None
        attempt.last = Mismatch(f"{before:g} to grow by at least {step.by}", f"{now:g}")
        await trio.sleep(LOOK_EVERY)


def _branches(branches: Sequence[Sequence[Step]], word: str, attempt: Attempt, perform: Perform) -> list[Branch]:
    return [
        partial(perform, steps, f"{attempt.path}.{word}[{index}]", attempt.scope)
        for index, steps in enumerate(branches)
    ]


async def _parallel(step: verbs.Parallel, attempt: Attempt, perform: Perform) -> Mismatch | None:
    await _together(_branches(step.parallel, "parallel", attempt, perform))
    return None


async def _race(step: verbs.Race, attempt: Attempt, perform: Perform) -> Mismatch | None:
    clean: list[bool] = []
    stops: list[StepStopped] = []
    waiting = 0
    go = trio.Event()

    async def run(branch: Branch) -> None:
        nonlocal waiting
        waiting += 1
        if waiting == len(step.race):
            go.set()
        # all of them wait here, and go on in the same pass of the scheduler
        await go.wait()
        try:
            clean.append(await branch())
        except StepStopped as stop:
            stops.append(stop)

    async with trio.open_nursery() as nursery:
        for branch in _branches(step.race, "race", attempt, perform):
            nursery.start_soon(run, branch)
    if stops:
        raise stops[0]
    return _valued(step, sum(clean), attempt)


async def _repeat(step: verbs.Repeat, attempt: Attempt, perform: Perform) -> Mismatch | None:
    for number in range(1, step.repeat + 1):
        if step.round is not None:
            attempt.scope.values[step.round] = str(number)
        await perform(step.steps, f"{attempt.path}.steps", attempt.scope)
    return None


async def _for_each(step: verbs.ForEach, attempt: Attempt, perform: Perform) -> Mismatch | None:
    each = step.for_each
    texts = labelled(attempt.stage.scenario, each.labels) if each.labels else each.texts
    rounds: list[Branch] = [
        partial(perform, step.steps, f"{attempt.path}.steps", attempt.scope.inner(**{step.as_: attempt.text(text)}))
        for text in texts
    ]
    if step.together:
        await _together(rounds)
    else:
        for one in rounds:
            await one()
    return None


async def _include(step: verbs.Include, attempt: Attempt, perform: Perform) -> Mismatch | None:
    given = {name: attempt.text(text) for name, text in step.with_.items()}
    await perform(step.steps, f"{attempt.path}.steps", attempt.scope.inner(**given))
    return None


async def _rate(step: verbs.Rate, attempt: Attempt, perform: Perform) -> Mismatch | None:
    """Rounds are due at fixed instants, late ones are begun at once: a slow system is not spared."""
    rate = number_of(attempt.text(step.rate))
    if not 0 < rate <= MAX_RATE:
        raise UnknownValue(f"a rate of {rate:g}: need more than 0 and at most {MAX_RATE} a second")
    count = max(1, round(rate * step.during))
    room = trio.CapacityLimiter(step.in_flight)
    began = trio.current_time()

    async def run(number: int) -> None:
        async with room:
            scope = attempt.scope.inner(**({step.round: str(number)} if step.round else {}))
            await perform(step.steps, f"{attempt.path}.steps", scope)

    async def due(number: int) -> None:
        await trio.sleep_until(began + (number - 1) / rate)
        await run(number)

    await _together([partial(due, number) for number in range(1, count + 1)])
    return _valued(step, count, attempt)


def _valued(step: Step, value: int, attempt: Attempt) -> Mismatch | None:
    attempt.seen = Seen(value=value)
    return judge(step.expect, Observed(value=value), attempt) if step.expect is not None else None


BLOCKS: Mapping[type[Step], Callable[[Any, Attempt, Perform], Awaitable[Mismatch | None]]] = MappingProxyType(
    {
        verbs.Eventually: _eventually,
        verbs.Always: _always,
        verbs.Unchanged: _unchanged,
        verbs.Grows: _grows,
        verbs.Parallel: _parallel,
        verbs.Race: _race,
        verbs.Repeat: _repeat,
        verbs.ForEach: _for_each,
        verbs.Rate: _rate,
        verbs.Include: _include,
    }
)


async def _unwatched(step: verbs.Look, while_: Sequence[Step], attempt: Attempt, perform: Perform) -> None:
    """With a look that the world has no answer to, what goes on meanwhile is done all the same. Raises: CannotTell."""
    if (trouble := untold(step, attempt)) is not None:
        await perform(while_, f"{attempt.path}.while", attempt.scope)
        raise trouble


async def _watched(
    once: Callable[[], Awaitable[Mismatch | None]],
    during: float | None,
    while_: Sequence[Step],
    attempt: Attempt,
    perform: Perform,
) -> Mismatch | None:
    """Look until the time is over or the steps are done, and once more at the end."""
    watching = trio.CancelScope()
    differs: list[Mismatch] = []

    async def watch() -> None:
        with watching:
            while not differs:
                if (mismatch := await once()) is not None:
                    differs.append(mismatch)
                    running.cancel()
                await trio.sleep(LOOK_EVERY)

    running = trio.CancelScope()

    async def run() -> None:
        with running:
            await trio.sleep(during or 0.0)
            await perform(while_, f"{attempt.path}.while", attempt.scope)
        watching.cancel()

    await _together([watch, run])
    return differs[0] if differs else await once()


async def _together(tasks: Sequence[Callable[[], Awaitable[object]]]) -> None:
    """Run all at the same time; the first failure stops the others and is raised bare."""
    failures: list[Exception] = []

    async def guarded(task: Callable[[], Awaitable[object]]) -> None:
        try:
            await task()
        except Exception as error:  # raised below, as soon as the others have stopped
            failures.append(error)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(guarded, task)
    if failures:
        raise failures[0]


def _count(value: str | float | None) -> float:
    try:
        return float(value or 0)
    except ValueError:
        return 0.0
