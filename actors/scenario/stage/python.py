"""Scenarios as Python: what an `async def scenario(world)` has at hand.

The same handles as any program has, with steps, expectations and reports as a file has them. Everything that it makes
here is taken down at the end, whatever became of it. Not for loading a module: the command line and the pytest plugin do.
"""

from __future__ import annotations

import inspect
import traceback
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, cast

import trio
from msgspec.structs import replace

from actors.errors import AlreadyExists, InvalidArgument, KatrioError, Unsupported
from actors.nurseries import plain_error
from actors.scenario.language.conditions import Conditions, Mismatch, holds
from actors.scenario.language.needs import Fault, Need, Probe
from actors.scenario.language.values import UnknownValue
from actors.scenario.stage.events import AskRecord, Failure, ObservedValues, Outcome, StepEnded, StepStarted
from actors.scenario.stage.outcomes import INFRASTRUCTURE, StepStopped
from actors.scenario.stage.outputs import ProcessView
from actors.scenario.stage.recording import Asked, recorded
from actors.scenario.stage.stage import LOOK_EVERY
from actors.wire.spec import ContainerSpec, ProcessSpec, SandboxSpec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
    from contextlib import AbstractAsyncContextManager

    from actors.handles import ContainerHandle, ProcessHandle, SandboxHandle, SystemHandle
    from actors.scenario.stage.stage import Stage

__all__ = ["PythonWorld", "Unmet"]

# lines of a failure's traceback through the scenario's file that are shown: a recursion has thousands
_PLACES = 5


class Unmet(AssertionError):
    """An expectation that did not hold."""

    def __init__(self, mismatch: Mismatch) -> None:
        super().__init__(f"expected {mismatch.expected}, saw {mismatch.seen}")
        self.mismatch = mismatch


class PythonWorld:
    """One world, one run. `system` is the handle to everything; asks through it are in the journal."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._current: ContextVar[_Step | None] = ContextVar("step", default=None)
        # the codes of the `expect_error` around what goes on
        self._expected: ContextVar[tuple[str, ...]] = ContextVar("expected", default=())
        self._count = 0
        self.system: SystemHandle = recorded(stage.world.system, stage.journal.now, self._asked)

    @property
    def name(self) -> str:
        """`embedded`, `simulated`, `attached`."""
        return self._stage.world.name

    @property
    def provides(self) -> frozenset[str]:
        """The needs that it meets."""
        return frozenset(Need) - self._stage.world.missing.keys()

    async def sandbox(self, name: str, *, hostname: str = "", start: bool = True) -> SandboxHandle:
        """Create a sandbox, and start it. Raises: KatrioError."""
        # before the ask: it may have happened although no answer comes
        self._stage.standing.setdefault(name, self._stage.sandbox(name))
        handle = await self.system.create_sandbox(name, SandboxSpec(hostname=hostname))
        if start:
            await handle.start()
        return handle

    async def container(
        self,
        sandbox: SandboxHandle,
        name: str,
        command: str | Sequence[str] = 'trap "exit 0" TERM; while true; do sleep 0.1; done',
        *,
        spec: ContainerSpec | None = None,
        start: bool = True,
    ) -> ContainerHandle:
        """Create a container, and start it; a `spec` goes before the command. Raises: KatrioError."""
        words = ("sh", "-c", command) if isinstance(command, str) else tuple(command)
        handle = await sandbox.create_container(name, spec or ContainerSpec(process=ProcessSpec(args=words)))
        if start:
            await handle.start()
        return handle

    def output(self, process: ProcessHandle) -> ProcessView:
        """What a process prints, read from now on: `.stdout.text()`, `.stdout.lines`, `.stderr`."""
        view = ProcessView(process.id or process.address, process.address, process)
        self._stage.pump(view)
        return view

    async def probe(self, kind: str, container: ContainerHandle) -> str:
        """A fact past actors, agent and guest: `freezer`, `processes`.

        Raises:
            Unsupported: the world can't determine it, and the step around it is skipped, unless the program catches this.
            NotFound, InvalidArgument.
        """
        sandbox, name = container.address.split("/")
        try:
            return await self._stage.world.probe(Probe.parse(kind), sandbox, name)
        except Unsupported as error:
            raise Unsupported(error.message, probe=kind) from error

    async def fault(self, kind: str, sandbox: SandboxHandle) -> None:
        """Break a part of the world: `kill_guest`. Raises: Unsupported, NotFound, InvalidArgument."""
        await self._stage.world.fault(Fault.parse(kind), sandbox.address)

    def expect(self, value: str | float | None, equals: object = None, **conditions: Any) -> None:
        """Hold a value against the conditions of `expect` in a file: contains, matches, at_least. Raises: Unmet."""
        if (mismatch := _mismatch(value, equals, conditions)) is not None:
            raise Unmet(mismatch)

    @contextmanager
    def expect_error(self, *codes: str) -> Generator[None]:
        """The body must fail with one of these codes. Raises: Unmet."""
        wanted = f"the error {' or '.join(codes)}"
        token = self._expected.set(codes)
        try:
            yield
        except KatrioError as error:
            if error.code not in codes:
                raise Unmet(Mismatch(wanted, f"{error.code}: {error.message}", error.code)) from error
        else:
            raise Unmet(Mismatch(wanted, "no error"))
        finally:
            self._expected.reset(token)

    async def eventually(
        self,
        look: Callable[[], Awaitable[Any]],
        equals: object = None,
        *,
        within: float | None = None,
        **conditions: Any,
    ) -> None:
        """Look again and again until the value is as expected. Raises: Unmet, with what was seen last."""
        limit = self._limit(within)
        mismatch: Mismatch | None = None
        with trio.move_on_after(limit):
            while True:
                mismatch = _mismatch(await look(), equals, conditions)
                if mismatch is None:
                    return
                await trio.sleep(LOOK_EVERY)
        last = mismatch or Mismatch("an answer", "none came")
        raise Unmet(Mismatch(f"{last.expected} within {limit:g} s", f"{last.seen} at last"))

    def _limit(self, within: float | None) -> float:
        return self._stage.scenario.limits.step if within is None else within * self._stage.slow

    def step(self, title: str, *, within: float | None = None) -> AbstractAsyncContextManager[None]:
        """One step of the report, with its time, its asks and the reason when it did not hold. May be nested."""
        frame = inspect.currentframe()
        line = frame.f_back.f_lineno if frame is not None and frame.f_back is not None else 0
        outer = self._current.get()
        if outer is None:
            path, self._count = f"steps[{self._count}]", self._count + 1
        else:
            path, outer.inner = f"{outer.path}.steps[{outer.inner}]", outer.inner + 1
        limit = self._limit(within)
        return self._step(_Step(path, title, line), limit)

    @asynccontextmanager
    async def _step(self, step: _Step, limit: float) -> AsyncGenerator[None]:
        journal = self._stage.journal
        began = journal.now()
        journal.record(StepStarted(at=began, path=step.path, title=step.title, line=step.line))
        token = self._current.set(step)
        outcome, failure, skipped = Outcome.CANCELLED, None, ""
        try:
            with trio.move_on_after(limit) as scope:
                yield
            outcome = Outcome.HELD
            if scope.cancelled_caught:
                outcome = Outcome.FAILED
                failure = self._stage.failure(
                    Mismatch(f"to be done within {limit:g} s", "it was still going on"), step.about
                )
                failure = replace(failure, at=f"{_shown(self._stage)}:{step.line}")
        except StepStopped as stop:
            outcome = stop.outcome
            raise
        except Exception as error:  # recorded in the journal; a bug of the scenario is an outcome too
            outcome, failure = failure_of(error, self._stage, step.about)
            if outcome is Outcome.SKIPPED:
                # as a step of a file: with the reason, and without a failure
                skipped, failure = failure.seen, None
        finally:
            self._current.reset(token)
            ended = StepEnded(
                at=journal.now(),
                path=step.path,
                title=step.title,
                line=step.line,
                outcome=outcome,
                seconds=journal.now() - began,
                asks=tuple(step.asks),
                seen=ObservedValues(error=failure.code if failure is not None else ""),
                failure=failure,
                skipped=skipped,
            )
            journal.record(ended)
        if failure is not None:
            raise StepStopped(outcome, step.path, failure)

    def _asked(self, asked: Asked) -> None:
        record = AskRecord(
            verb=asked.verb,
            to=asked.to,
            at=asked.began,
            seconds=asked.ended - asked.began,
            code=asked.code,
            expected=asked.code in self._expected.get(),
        )
        self._stage.journal.asked(record)
        if (step := self._current.get()) is not None:
            step.asks.append(record)
            step.about = asked.to


class _Step:
    """A step under way."""

    def __init__(self, path: str, title: str, line: int) -> None:
        self.path = path
        self.title = title
        self.line = line
        self.inner = 0
        self.asks: list[AskRecord] = []
        # the actor that it asked last: whose output and events tell the story of its failure
        self.about = ""


def failure_of(error: Exception, stage: Stage, about: str) -> tuple[Outcome, Failure]:
    """What an exception of a scenario's code means, and where it came from."""
    error = _alone(error)
    outcome, failure = _judged(error, stage, about)
    return outcome, replace(failure, at=_place(error, stage))


def _alone(error: Exception) -> Exception:
    """What a nursery wrapped, where it is a single one."""
    whole = error
    if isinstance(error, ExceptionGroup):
        error_alone = plain_error(cast("BaseExceptionGroup[BaseException]", error))
        if isinstance(error_alone, Exception) and not isinstance(error_alone, ExceptionGroup):
            return error_alone
    return whole


def _judged(error: Exception, stage: Stage, about: str) -> tuple[Outcome, Failure]:
    if isinstance(error, Unmet):
        return Outcome.FAILED, stage.failure(error.mismatch, about, code=error.mismatch.code)
    if isinstance(error, AssertionError):
        return Outcome.FAILED, stage.failure(Mismatch("an assertion to hold", str(error) or "it did not"), about)
    if isinstance(error, Unsupported) and "probe" in error.details:
        return Outcome.SKIPPED, Failure(expected="a world that can tell", seen=error.message)
    if isinstance(error, KatrioError):
        # an agent's sandbox that is there already is none of this program's
        foreign = isinstance(error, AlreadyExists) and "agent" in error.details
        outcome = Outcome.ERROR if foreign or error.code in INFRASTRUCTURE else Outcome.FAILED
        return outcome, stage.failure(Mismatch("no error", f"{error.code}: {error.message}"), about, code=error.code)
    # a bug of the scenario's own: neither the machine nor katrio is to blame
    return Outcome.FAILED, stage.failure(Mismatch("no error", f"{type(error).__name__}: {error}"), about)


def _place(error: Exception, stage: Stage) -> str:
    """The line of the scenario's own file that it came from, and those that led there; empty for another's."""
    lines = [
        str(line) for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == stage.source
    ][-_PLACES:]
    callers = f" (from line {', '.join(reversed(lines[:-1]))})" if lines[:-1] else ""
    return f"{_shown(stage)}:{lines[-1]}{callers}" if lines else ""


def _shown(stage: Stage) -> str:
    """The scenario's file, as it was named on the command line where that is a file."""
    return stage.file if PurePath(stage.file).name == PurePath(stage.source).name else stage.source


def _mismatch(value: str | float | None, equals: object, conditions: dict[str, Any]) -> Mismatch | None:
    wanted: dict[str, Any] = {name: _text(one) for name, one in conditions.items()}
    if equals is not None:
        wanted["equals"] = _text(equals)
    try:
        return holds(Conditions(**wanted), value, {}, "")
    except UnknownValue as trouble:
        raise InvalidArgument(str(trouble), field="expect") from None


def _text(value: object) -> object:
    """Conditions are texts, as in a file; `$${` there stands for the `${` that is meant here."""
    if isinstance(value, (list, tuple)):
        return tuple(_text(item) for item in cast("list[object]", value))
    return str(value).replace("${", "$${")
