"""Steps that hold other steps: several at the same time, again and again, from another file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import msgspec
import trio

from actors.scenario.language.declared import labelled
from actors.scenario.language.kinds import Duration, Each, Kind, Number, Text, Variable
from actors.scenario.language.values import UnknownValue, number_of, variables_in
from actors.scenario.stage.outcomes import StepStopped
from actors.scenario.stage.tasks import together
from actors.scenario.steps.base import COUNT, Block, Branches, StepFault, Steps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from actors.scenario.language.conditions import Mismatch
    from actors.scenario.stage.stage import Attempt
    from actors.scenario.steps.base import Inner, Schema, Step

    Branch = Callable[[], Awaitable[bool]]

__all__ = ["STEPS", "ForEach", "Include", "Parallel", "Race", "Rate", "Repeat"]

# of `rate`, a second: what one event loop can begin at all
MAX_RATE = 1000


class Parallel(Block, frozen=True, kw_only=True, omit_defaults=True):
    """Every branch at the same time; ends when all have, the first failure stops the others."""

    word = "parallel"
    example = "{parallel: [{stop: one}, [{pause: two}, {resume: two}]]}"
    limited = False
    parallel: Annotated[Branches, "The branches: each a step, or a list of steps."]

    def details(self, text: Callable[[str], str]) -> Iterator[str]:
        yield f"{len(self.parallel)} branches"

    async def perform(self, attempt: Attempt, inner: Inner) -> Mismatch | None:
        await together(_branches(self.parallel, self.word, attempt, inner))
        return None


class Race(Block, frozen=True, kw_only=True, omit_defaults=True):
    """Every branch, started at the same instant; each runs to its end. Its value: how many had no error.

    A branch whose error was expected has had one all the same.
    """

    word = "race"
    example = "{race: [{pause: one}, {stop: one}], expect: {at_least: 1}}"
    facets = frozenset({"value"})
    values = COUNT
    limited = False
    race: Annotated[Branches, "The branches: each a step, or a list of steps."]

    def details(self, text: Callable[[str], str]) -> Iterator[str]:
        yield f"{len(self.race)} branches"

    async def perform(self, attempt: Attempt, inner: Inner) -> Mismatch | None:
        clean: list[bool] = []
        stops: list[StepStopped] = []
        waiting = 0
        go = trio.Event()

        async def run(branch: Branch) -> None:
            nonlocal waiting
            waiting += 1
            if waiting == len(self.race):
                go.set()
            # all of them wait here, and go on in the same pass of the scheduler
            await go.wait()
            try:
                clean.append(await branch())
            except StepStopped as stop:
                stops.append(stop)

        async with trio.open_nursery() as nursery:
            for branch in _branches(self.race, self.word, attempt, inner):
                nursery.start_soon(run, branch)
        if stops:
            raise stops[0]
        return self.judge_value(sum(clean), attempt)


class Repeat(Block, frozen=True, kw_only=True, omit_defaults=True):
    """The steps, so many times; `round` names the number of the round, from 1."""

    word = "repeat"
    elsewhere = frozenset({"loop"})
    example = "{repeat: 100, round: n, steps: [{pause: one}, {resume: one}]}"
    limited = False
    repeat: Annotated[int, "How often."]
    round: Annotated[Variable | None, "A name for the number of the round."] = None
    steps: Annotated[Steps, "The steps of a round."]

    def details(self, text: Callable[[str], str]) -> Iterator[str]:
        yield f"{self.repeat} times {len(self.steps)} steps"

    async def perform(self, attempt: Attempt, inner: Inner) -> Mismatch | None:
        for number in range(1, self.repeat + 1):
            if self.round is not None:
                attempt.scope.values[self.round] = str(number)
            await inner(self.steps, f"{attempt.path}.steps", attempt.scope)
        return None


class ForEach(Block, frozen=True, kw_only=True, omit_defaults=True):
    """The steps for each item, `as` being its name in them; `together`: for all of them at the same time.

    What the steps save and which processes they name is each round's own.
    """

    word = "for_each"
    example = "{for_each: [one, two], as: each, together: true, steps: [{pause: '${each}'}]}"
    scoped = True
    limited = False
    for_each: Annotated[
        Each,
        Kind.EACH,
        "A list of texts, a range `1..20`, or `{labels: {name: text}}`: the containers with these labels.",
    ]
    as_: Annotated[Variable, "The item's name in the steps."] = msgspec.field(name="as")
    together: Annotated[bool, "All items at the same time; one after the other unless given."] = False
    steps: Annotated[Steps, "The steps of a round."]

    def details(self, text: Callable[[str], str]) -> Iterator[str]:
        yield f"{len(self.for_each.texts)} times" if self.for_each.texts else f"{self.as_} by labels"

    async def perform(self, attempt: Attempt, inner: Inner) -> Mismatch | None:
        each = self.for_each
        texts = labelled(attempt.stage.scenario, each.labels) if each.labels else each.texts
        rounds: list[Branch] = [
            partial(inner, self.steps, f"{attempt.path}.steps", attempt.scope.inner(**{self.as_: attempt.text(text)}))
            for text in texts
        ]
        if self.together:
            await together(rounds)
        else:
            for one in rounds:
                await one()
        return None


class Rate(Block, frozen=True, kw_only=True, omit_defaults=True):
    """Begins the steps `rate` times a second `during` a time, whether or not the earlier ones have ended.

    At most `in_flight` of them go on at once: a round that finds no room waits for it. Its value: how many rounds
    there were. What the steps save and which processes they name is each round's own.
    """

    word = "rate"
    example = '{rate: 20, during: 2s, steps: [{exec: one, command: "true", as: mine}, {wait: mine}]}'
    facets = frozenset({"value"})
    values = COUNT
    scoped = True
    limited = False
    rate: Annotated[Number, "Rounds a second."]
    during: Annotated[Duration, "For how long."]
    in_flight: Annotated[int, "How many rounds may go on at once; 64 unless given."] = 64
    round: Annotated[Variable | None, "A name for the number of the round."] = None
    steps: Annotated[Steps, "The steps of a round."]

    @property
    def about(self) -> str:
        return ""

    def details(self, text: Callable[[str], str]) -> Iterator[str]:
        yield f"{text(self.rate)} a second for {self.during:g} s"

    def faults(self) -> Iterator[StepFault]:
        if not variables_in(self.rate) and not 0 < float(self.rate) <= MAX_RATE:
            yield StepFault(("rate",), self.rate, f"more than 0 and at most {MAX_RATE} rounds a second")

    async def perform(self, attempt: Attempt, inner: Inner) -> Mismatch | None:
        """Rounds are due at fixed instants, late ones are begun at once: a slow system is not spared."""
        rate = number_of(attempt.text(self.rate))
        if not 0 < rate <= MAX_RATE:
            raise UnknownValue(f"a rate of {rate:g}: need more than 0 and at most {MAX_RATE} a second")
        count = max(1, round(rate * self.during))
        room = trio.CapacityLimiter(self.in_flight)
        began = trio.current_time()

        async def due(number: int) -> None:
            await trio.sleep_until(began + (number - 1) / rate)
            async with room:
                scope = attempt.scope.inner(**({self.round: str(number)} if self.round else {}))
                await inner(self.steps, f"{attempt.path}.steps", scope)

        await together([partial(due, number) for number in range(1, count + 1)])
        return self.judge_value(count, attempt)


class Include(Block, frozen=True, kw_only=True, omit_defaults=True):
    """The steps of another file, `with` values of their own.

    That file's `steps` come from the loader; what they save and which processes they name is theirs alone.
    """

    word = "include"
    example = "{include: parts/stop.yaml, with: {which: one}}"
    scoped = True
    limited = False
    include: Annotated[Text, "The file, in this one's directory or below."]
    with_: Annotated[dict[Variable, Text], "Values for it; its own `vars` are for those that are not given here."] = (
        msgspec.field(default_factory=dict[str, str], name="with")
    )
    steps: Annotated[Steps, "Comes from the file."]

    @property
    def about(self) -> str:
        return ""

    def subject(self, text: Callable[[str], str]) -> Iterator[str]:
        yield text(self.include)

    @classmethod
    def refine(cls, schema: Schema) -> None:
        """See `Step.refine`: nobody writes the steps here."""
        del schema["properties"]["steps"]
        schema["required"].remove("steps")

    async def perform(self, attempt: Attempt, inner: Inner) -> Mismatch | None:
        given = {name: attempt.text(text) for name, text in self.with_.items()}
        await inner(self.steps, f"{attempt.path}.steps", attempt.scope.inner(**given))
        return None


def _branches(branches: Sequence[Sequence[Step]], word: str, attempt: Attempt, inner: Inner) -> list[Branch]:
    return [
        partial(inner, steps, f"{attempt.path}.{word}[{index}]", attempt.scope) for index, steps in enumerate(branches)
    ]


STEPS = (Parallel, Race, Repeat, ForEach, Rate, Include)
