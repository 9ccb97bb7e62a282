"""Steps that let time pass, and look again and again: until something holds, or whether it holds meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import trio

from actors.scenario.language.conditions import Mismatch
from actors.scenario.language.kinds import Duration
from actors.scenario.stage.outcomes import INFRASTRUCTURE
from actors.scenario.stage.stage import LOOK_EVERY
from actors.scenario.stage.tasks import together
from actors.scenario.steps.base import Block, LookField, Observed, Single, StepFault, Steps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from actors.scenario.stage.stage import Attempt
    from actors.scenario.steps.base import Inner, Look, Schema

__all__ = ["STEPS", "Always", "Eventually", "Grows", "Sleep", "Unchanged"]


class Sleep(Single, frozen=True, kw_only=True, omit_defaults=True):
    """Waits."""

    word = "sleep"
    example = "{sleep: 300ms}"
    limited = False
    sleep: Annotated[Duration, "How long."]

    def details(self, text: Callable[[str], str]) -> Iterator[str]:
        yield f"{self.sleep:g} s"

    async def perform(self, attempt: Attempt) -> Observed:
        await trio.sleep(self.sleep)
        return Observed()


class Watching(Block, frozen=True, kw_only=True, omit_defaults=True):
    """Looks by the step in the field of its own name. `judges`: that one says what to expect, or may not."""

    judges = True

    @property
    def look(self) -> Look:
        """The step that looks."""
        found: Look = getattr(self, self.word)
        return found

    @property
    def about(self) -> str:
        return self.look.about

    def subject(self, text: Callable[[str], str]) -> Iterator[str]:
        yield self.look.describe(text)

    def leave_out(self, attempt: Attempt, why: str) -> None:
        self.look.leave_out(attempt, why)

    def faults(self) -> Iterator[StepFault]:
        if self.judges and self.look.expect is None:
            yield StepFault((self.word,), "nothing", "what to expect of the inner step", at=())
        if not self.judges and self.look.expect is not None:
            yield StepFault((self.word, "expect"), "one", "no expectation here", at=())

    @classmethod
    def refine(cls, schema: Schema) -> None:
        wanted: Schema = {"required": ["expect"]}
        schema["properties"][cls.word]["allOf"].append(wanted if cls.judges else {"not": wanted})


class Eventually(Watching, frozen=True, kw_only=True, omit_defaults=True):
    """Looks again and again until what is expected holds."""

    word = "eventually"
    example = "{eventually: {stdout: one, expect: {contains: ready}}, within: 5s}"
    eventually: Annotated[LookField, "A look, with what to expect of it."]

    async def perform(self, attempt: Attempt, inner: Inner) -> Mismatch | None:
        while True:
            attempt.last = await self.eventually.act(attempt, inner)
            if attempt.last is None or attempt.last.code in INFRASTRUCTURE:
                return attempt.last
            await trio.sleep(LOOK_EVERY)


class Lasting(Watching, frozen=True, kw_only=True, omit_defaults=True):
    """Looks for a time, or while other steps run."""

    limited = False

    def faults(self) -> Iterator[StepFault]:
        yield from super().faults()
        during, while_ = self.span
        if (during is None) == (not while_):
            yield StepFault((), "both" if while_ else "neither", "either 'during', a time, or 'while', steps")

    @property
    def span(self) -> tuple[float | None, Steps]:
        """For how long, or while which steps."""
        raise NotImplementedError

    @classmethod
    def refine(cls, schema: Schema) -> None:
        super().refine(schema)
        schema["properties"]["while"]["minItems"] = 1
        schema["oneOf"] = [{"required": ["during"]}, {"required": ["while"]}]

    async def unwatched(self, attempt: Attempt, inner: Inner) -> None:
        """With a look that the world has no answer to, what goes on meanwhile is done all the same. Raises: Undeterminable."""
        if (trouble := self.look.undeterminable(attempt)) is not None:
            await inner(self.span[1], f"{attempt.path}.while", attempt.scope)
            raise trouble

    async def watched(
        self, once: Callable[[], Awaitable[Mismatch | None]], attempt: Attempt, inner: Inner
    ) -> Mismatch | None:
        """Look until the time is over or the steps are done, and once more at the end."""
        watching, running = trio.CancelScope(), trio.CancelScope()
        differs: list[Mismatch] = []
        during, while_ = self.span

        async def watch() -> None:
            with watching:
                while not differs:
                    if (mismatch := await once()) is not None:
                        differs.append(mismatch)
                        running.cancel()
                    await trio.sleep(LOOK_EVERY)

        async def run() -> None:
            with running:
                await trio.sleep(during or 0.0)
                await inner(while_, f"{attempt.path}.while", attempt.scope)
            watching.cancel()

        await together([watch, run])
        return differs[0] if differs else await once()


class Always(Lasting, frozen=True, kw_only=True, omit_defaults=True):
    """What is expected holds at every look, for a time or while other steps run."""

    word = "always"
    example = "{always: {state: one, expect: running}, during: 1s}"
    always: Annotated[LookField, "A look, with what to expect of it."]
    during: Annotated[Duration | None, "For how long."] = None
    while_: Annotated[Steps, "Or while these steps run."] = msgspec.field(default=(), name="while")

    @property
    def span(self) -> tuple[float | None, Steps]:
        return self.during, self.while_

    async def perform(self, attempt: Attempt, inner: Inner) -> Mismatch | None:
        await self.unwatched(attempt, inner)
        return await self.watched(lambda: self.always.act(attempt, inner), attempt, inner)


class Unchanged(Lasting, frozen=True, kw_only=True, omit_defaults=True):
    """The value stands still, for a time or while other steps run; first taken after `settle`."""

    word = "unchanged"
    example = "{unchanged: {lines: one}, settle: 100ms, while: [{sleep: 1s}]}"
    judges = False
    unchanged: Annotated[LookField, "A look."]
    settle: Annotated[Duration, "How long to wait before the first look."] = 0.0
    during: Annotated[Duration | None, "For how long."] = None
    while_: Annotated[Steps, "Or while these steps run."] = msgspec.field(default=(), name="while")

    @property
    def span(self) -> tuple[float | None, Steps]:
        return self.during, self.while_

    async def perform(self, attempt: Attempt, inner: Inner) -> Mismatch | None:
        await self.unwatched(attempt, inner)
        await trio.sleep(self.settle)
        before = (await self.unchanged.observe(attempt)).value

        async def once() -> Mismatch | None:
            now = (await self.unchanged.observe(attempt)).value
            return None if now == before else Mismatch(f"to stay {before!r}", repr(now))

        return await self.watched(once, attempt, inner)


class Grows(Watching, frozen=True, kw_only=True, omit_defaults=True):
    """The number grows by at least `by` from now on."""

    word = "grows"
    example = "{grows: {lines: one}, by: 5}"
    judges = False
    grows: Annotated[LookField, "A look whose value is a number."]
    by: Annotated[int, "By how much; 1 unless given."] = 1

    def details(self, text: Callable[[str], str]) -> Iterator[str]:
        yield f"by {self.by}"

    async def perform(self, attempt: Attempt, inner: Inner) -> Mismatch | None:
        before = _count((await self.grows.observe(attempt)).value)
        while True:
            now = _count((await self.grows.observe(attempt)).value)
            if now - before >= self.by:
                return None
            attempt.last = Mismatch(f"{before:g} to grow by at least {self.by}", f"{now:g}")
            await trio.sleep(LOOK_EVERY)


def _count(value: str | float | None) -> float:
    try:
        return float(value or 0)
    except ValueError:
        return 0.0


STEPS = (Sleep, Eventually, Always, Unchanged, Grows)
