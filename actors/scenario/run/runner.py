"""One scenario in one world: steps in order, the first failure stops the rest, `finally` and the end always.

For the command line and Python callers. Opens the nursery that reads outputs and closes it before it
returns. Not for opening worlds, choosing files, or telling people: reports listen to the journal.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import trio

from actors.errors import AlreadyExists, KatrioError
from actors.limits import DEFAULT_LIMITS
from actors.nurseries import open_lasting_nursery
from actors.scenario.language.conditions import Mismatch
from actors.scenario.language.needs import Need
from actors.scenario.language.values import UnknownValue, fill
from actors.scenario.stage.events import Failure, Journal, Outcome, RunEnded, RunStarted, StepEnded, StepStarted
from actors.scenario.stage.outcomes import INFRASTRUCTURE, NeverStarted, StepStopped, Undeterminable
from actors.scenario.stage.python import PythonWorld, failure_of
from actors.scenario.stage.results import Judged, Result, judge_threshold, judgement
from actors.scenario.stage.stage import Attempt, Stage
from actors.scenario.stage.topology import bring_up, tear_down

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from actors.scenario.reading.scenario import Loaded
    from actors.scenario.stage.events import Event
    from actors.scenario.stage.stage import Scope
    from actors.scenario.stage.world import World
    from actors.scenario.steps.base import Step

__all__ = ["run_scenario"]


class _Run:
    """The steps of one run, performed on a stage."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    async def perform(self, steps: Sequence[Step], path: str, scope: Scope) -> bool:
        """Perform a list of steps in order; see `actors.scenario.steps.base.Inner`."""
        clean = True
        for index, step in enumerate(steps):
            place = f"{path}[{index}]"
            # the one step of a branch stands at the branch's own place
            clean &= await self.step(step, place if place in self.stage.lines else path, scope)
        return clean

    async def step(self, step: Step, path: str, scope: Scope) -> bool:
        """Perform one step within its limit, and record it in the journal; whether it had no error, as far as is known, and what it is about was there.

        Raises: StepStopped.
        """
        journal, line = self.stage.journal, self.stage.lines[path]
        title, written = title_of(step, scope), step.name or step.describe()
        written = written if written != title else ""
        file = self.stage.files[path] if self.stage.files[path] != self.stage.file else ""
        limit = step.within or (self.stage.scenario.limits.step if step.limited else inf)
        began = journal.now()
        journal.record(StepStarted(at=began, path=path, title=title, line=line, file=file, written=written))
        attempt = Attempt(self.stage, path, limit, scope)
        outcome, failure, skipped, clean = Outcome.CANCELLED, None, "", True
        try:
            outcome, failure = await self._within(step, attempt, limit)
        except (NeverStarted, Undeterminable) as never:
            # the file allowed it, or this world has no answer: the run goes on
            outcome, skipped = Outcome.SKIPPED, str(never)
            # what can't be determined may well have succeeded
            clean = isinstance(never, Undeterminable)
            step.leave_out(attempt, skipped)
        except StepStopped as stop:
            outcome = stop.outcome
            raise
        finally:
            ended = StepEnded(
                at=journal.now(),
                path=path,
                title=title,
                line=line,
                file=file,
                written=written,
                outcome=outcome,
                seconds=journal.now() - began,
                asks=tuple(attempt.asks),
                seen=journal.whole(attempt.seen),
                failure=failure,
                skipped=skipped,
            )
            journal.record(ended)
        if failure is not None:
            raise StepStopped(outcome, path, failure)
        return clean and not attempt.seen.error

    async def _within(self, step: Step, attempt: Attempt, limit: float) -> tuple[Outcome, Failure | None]:
        mismatch: Mismatch | None = None
        try:
            with trio.move_on_after(limit) as scope:
                mismatch = await step.act(attempt, self.perform)
            if scope.cancelled_caught:
                mismatch = _too_late(attempt.last, limit)
        except UnknownValue as trouble:
            if why := attempt.scope.unsaved.get(trouble.name):
                raise NeverStarted(why) from trouble
            return Outcome.FAILED, Failure(expected=trouble.wanted, seen=str(trouble))
        except KatrioError as error:
            mismatch = Mismatch("no error", f"{error.code}: {error.message}", error.code)
        if mismatch is None:
            return Outcome.HELD, None
        outcome = Outcome.ERROR if mismatch.code in INFRASTRUCTURE else Outcome.FAILED
        about = attempt.address(step.about) if step.about else ""
        return outcome, self.stage.failure(mismatch, about, code=mismatch.code)


def title_of(step: Step, scope: Scope) -> str:
    """A step in a few words, with its values in where they are known."""
    try:
        return fill(step.name, scope.values) if step.name else step.describe(lambda text: fill(text, scope.values))
    except UnknownValue:
        return step.name or step.describe()


def _too_late(last: Mismatch | None, limit: float) -> Mismatch:
    if last is None:
        return Mismatch(f"to be done within {limit:g} s", "it was still going on")
    return Mismatch(f"{last.expected} within {limit:g} s", f"{last.seen} at last")


async def run_scenario(
    loaded: Loaded,
    world: World,
    *,
    listener: Callable[[Event], None],
    seed: int | None = None,
    keep_going: bool = False,
    interrupt: trio.CancelScope | None = None,
) -> Result:
    """Run a scenario to its end; `keep_going`: with the next step of the file after one that did not hold.

    A step that does not hold is a result, not an exception. Cancelled: `finally` and the taking down still
    happen, shielded and bounded, then the cancel goes on. Cancelled by `interrupt` the same, but the result is
    returned, `interrupted`, with the steps that ended.
    """
    journal = Journal(listener)
    scenario = loaded.scenario
    outcome, reason = Outcome.INTERRUPTED, "asked to end before its end"
    thresholds: tuple[Judged, ...] = ()
    try:
        with interrupt or trio.CancelScope():
            outcome, reason, thresholds = await _judged(loaded, world, journal, keep_going)
    finally:
        journal.record(RunEnded(at=journal.now(), outcome=outcome, reason=reason))
    steps = tuple(event for event in journal.events if isinstance(event, StepEnded))
    inside = {id(ask) for step in steps for ask in step.asks}
    return Result(
        file=loaded.file,
        name=scenario.name,
        outcome=outcome,
        world=world.name,
        agent=world.agent,
        engine=world.engine,
        seed=seed,
        slow=loaded.slow,
        duration_s=round(journal.now(), 6),
        reason=reason,
        steps=steps,
        asks=tuple(ask for ask in journal.asks if id(ask) not in inside),
        thresholds=thresholds,
    )


async def _judged(
    loaded: Loaded, world: World, journal: Journal, keep_going: bool
) -> tuple[Outcome, str, tuple[Judged, ...]]:
    """The outcome, why, and the thresholds. Cancelled: the journal has what ended."""
    try:
        # before anything is recorded: it decides what the world is
        unknown = await _unidentified(world)
    finally:
        journal.record(_started(loaded, world))
    if unknown is not None:
        code = Outcome.ERROR if unknown.code in INFRASTRUCTURE else Outcome.FAILED
        return code, f"before anything was made: {unknown.code}: {unknown.message}", ()
    if lacks := [need for need in map(Need, loaded.needs) if need in world.missing]:
        reasons = [f"{need} ({world.missing[need]})" for need in lacks]
        return Outcome.SKIPPED, f"the {world.name} world lacks {', '.join(reasons)}", ()
    outcome, reason = await _play(loaded, world, journal, keep_going)
    thresholds = tuple(judge_threshold(one, journal.asks, journal.now()) for one in loaded.scenario.thresholds)
    if outcome is Outcome.HELD and (broken := [one for one in thresholds if not one.held]):
        outcome, reason = Outcome.FAILED, "; ".join(map(_broken, broken))
    return outcome, reason, thresholds


def _started(loaded: Loaded, world: World) -> RunStarted:
    scenario = loaded.scenario
    return RunStarted(
        at=0.0,
        file=loaded.file,
        name=scenario.name,
        why=scenario.why.strip(),
        world=world.name,
        agent=world.agent,
        engine=world.engine,
        steps=len(scenario.steps),
        limit=scenario.limits.total,
        sandboxes=tuple(scenario.sandboxes),
        containers=tuple(
            f"{sandbox}/{container}"
            for sandbox, declared in scenario.sandboxes.items()
            for container in declared.containers
        ),
    )


async def _unidentified(world: World) -> KatrioError | None:
    """Why nobody knows what the world provides; None: it is known."""
    try:
        await world.identify()
    except KatrioError as error:
        return error
    return None


def _broken(judged: Judged) -> str:
    return f"threshold {judged.threshold}: {judgement(judged)}"


async def _play(loaded: Loaded, world: World, journal: Journal, keep_going: bool) -> tuple[Outcome, str]:
    """Bring up, steps, `finally`, take down: the first thing that did not hold, and why."""
    stopped: list[tuple[Outcome, str]] = []
    # reports of a run continue while a cancelled one is torn down
    async with open_lasting_nursery() as pumps:
        run = _Run(Stage(loaded, world, journal, pumps))
        pumps.start_soon(run.stage.follow)
        try:
            stopped += await _steps(run, loaded, keep_going)
        finally:
            with trio.CancelScope(shield=True):
                stopped += await _end(run, loaded)
                await run.stage.reports_complete()
    if stopped:
        # what a world could not determine hides nothing that it could
        return min(stopped, key=lambda one: one[0] is Outcome.SKIPPED)
    ended = [event for event in journal.events if isinstance(event, StepEnded)]
    if ended and all(step.skipped for step in ended):
        return Outcome.SKIPPED, f"nothing of it can be told here: {ended[0].skipped}"
    return Outcome.HELD, ""


async def _steps(run: _Run, loaded: Loaded, keep_going: bool) -> list[tuple[Outcome, str]]:
    total = loaded.scenario.limits.total
    stopped: list[tuple[Outcome, str]] = []
    with trio.move_on_after(total) as scope:
        stopped += await _begin(Attempt(run.stage, "sandboxes", total, run.stage.scope))
        if loaded.program is not None and not stopped:
            stopped += await _program(run.stage, loaded.program)
        for index, step in enumerate(loaded.scenario.steps):
            if stopped and (not keep_going or index == 0):
                break
            try:
                await run.step(step, f"steps[{index}]", run.stage.scope)
            except StepStopped as stop:
                stopped.append((stop.outcome, _why(stop, loaded)))
    if scope.cancelled_caught:
        stopped.append((Outcome.FAILED, f"the scenario took longer than its total of {total:g} s"))
    return stopped


async def _program(stage: Stage, program: Callable[[PythonWorld], Awaitable[None]]) -> list[tuple[Outcome, str]]:
    """A scenario that is a function: what it raises outside of its steps counts as well."""
    try:
        await program(PythonWorld(stage))
    except StepStopped as stop:
        return [(stop.outcome, _placed(stop.failure, stop.path))]
    except Exception as error:  # a bug of the scenario is an outcome, not a traceback
        outcome, failure = failure_of(error, stage, "")
        return [(outcome, _placed(failure, "outside of its steps"))]
    return []


def _placed(failure: Failure, where: str) -> str:
    at = f"{failure.at}: " if failure.at else ""
    return f"{at}{where}: expected {failure.expected}, saw {failure.seen}"


async def _begin(attempt: Attempt) -> list[tuple[Outcome, str]]:
    try:
        await bring_up(attempt)
    except UnknownValue as trouble:
        return [(Outcome.FAILED, f"bringing up: {trouble}")]
    except KatrioError as error:
        # names of one file are never the same: what is there already is somebody else's
        foreign = isinstance(error, AlreadyExists)
        outcome = Outcome.ERROR if foreign or error.code in INFRASTRUCTURE else Outcome.FAILED
        last = f" {attempt.asks[-1].to}" if attempt.asks else ""
        return [(outcome, f"bringing up{last}: {error.code}: {error.message}")]
    return []


async def _end(run: _Run, loaded: Loaded) -> list[tuple[Outcome, str]]:
    """Every step of `finally`, each whatever became of the others; then the taking down."""
    stopped: list[tuple[Outcome, str]] = []
    seconds = DEFAULT_LIMITS.shutdown_seconds * loaded.slow
    with trio.move_on_after(seconds) as scope:
        for index, step in enumerate(loaded.scenario.finally_):
            try:
                await run.step(step, f"finally[{index}]", run.stage.scope)
            except StepStopped as stop:
                stopped.append((stop.outcome, _why(stop, loaded)))
    if scope.cancelled_caught:
        stopped.append((Outcome.FAILED, f"finally took longer than {seconds:g} s"))
    with trio.move_on_after(seconds) as scope:
        failures = await tear_down(Attempt(run.stage, "end", seconds, run.stage.scope))
        stopped += [(Outcome.ERROR, f"taking down {trouble}") for trouble in failures]
    if scope.cancelled_caught:
        stopped.append((Outcome.ERROR, f"taking down took longer than {seconds:g} s"))
    return stopped


def _why(stop: StepStopped, loaded: Loaded) -> str:
    return f"{loaded.files[stop.path]}:{loaded.lines[stop.path]}: {stop.path}: expected {stop.failure.expected}, saw {stop.failure.seen}"
