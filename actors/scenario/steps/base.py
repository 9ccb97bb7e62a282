"""What a step is: one class with its shape, its words, its example, and what it does.

The fields are what a file may write, each with its kind and its sentence; the docstring says what the step does, for the
reference; the field that is named like the step (`word`) is what it acts on. The methods: `describe` (a line for people),
`perform` (what it does), `recorded` (how a file repeats an ask). What a shape can't say stands in `faults` for the loader and in
`refine` for the JSON Schema. A step is a `Single`, which asks something and has what came of it judged, or a `Block`, which holds
other steps. `actors.scenario.steps.STEPS` has them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Protocol

import msgspec

from actors.errors import KatrioError
from actors.scenario.language.conditions import Conditions, Expect, Mismatch, holds
from actors.scenario.language.kinds import Duration, Kind, Saves, Text, hints_of, unwrap
from actors.scenario.language.scalars import NO_ERROR
from actors.scenario.language.values import UnknownValue, json_at
from actors.scenario.stage.events import ObservedValues
from actors.scenario.stage.outcomes import INFRASTRUCTURE, NeverStarted, Undeterminable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from actors.scenario.stage.draft import Draft, Tree
    from actors.scenario.stage.outputs import ProcessView
    from actors.scenario.stage.recording import Asked
    from actors.scenario.stage.stage import Attempt, Scope

__all__ = [
    "ANYTHING",
    "CODE",
    "COUNT",
    "Acting",
    "Block",
    "Branches",
    "Inner",
    "Look",
    "LookField",
    "Observed",
    "Schema",
    "Single",
    "Step",
    "StepFault",
    "StepField",
    "Steps",
    "Valued",
    "Values",
    "refused",
    "same",
]

Schema = dict[str, Any]
Facet = tuple["Conditions | None", "str | float | None", str]


class Values(NamedTuple):
    """What the value of a step can be at all: one of a few words, a number between two, or (`number` false) any text."""

    choices: tuple[str, ...] = ()
    number: bool = False
    least: float = -inf
    most: float = inf


ANYTHING = Values()
COUNT = Values(number=True, least=0.0)
# an exit code as a shell reports it
CODE = Values(number=True, least=0.0, most=255.0)


class StepFault(NamedTuple):
    """A fault of a step that its shape allows: the field below the step, and the words for it.

    `at`: where it is reported, when that is not the field itself; empty for the step's own place.
    """

    field: tuple[str, ...]
    found: str
    expected: str
    like: str = ""
    at: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """What came of a step; `view` is its process, where that has ended."""

    value: str | float | None = None
    exit: int | None = None
    view: ProcessView | None = None


class Inner(Protocol):
    """Performs the steps that stand in a step, one after the other."""

    def __call__(self, steps: Sequence[Step], path: str, scope: Scope) -> Awaitable[bool]:
        """Whether all went without an error, expected ones included. Raises: StepStopped at the first that does not hold."""
        ...


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every step may have beside its verb."""

    # the verb in a file, which is also the name of the field that says what it acts on
    word: ClassVar[str]
    # the step as it is written in a file where `box` is a sandbox, `one` and `two` containers in it
    example: ClassVar[str]
    # what other tools call it, in letters too far from ours
    elsewhere: ClassVar[frozenset[str]] = frozenset()
    # the keys of `expect` that make sense, `value` standing for conditions on the step's own
    facets: ClassVar[frozenset[str]] = frozenset()
    values: ClassVar[Values] = ANYTHING
    # whether what its inner steps name is theirs alone
    scoped: ClassVar[bool] = False
    # whether `limits.step` is its limit when it has no `within`
    limited: ClassVar[bool] = True
    # of the world, beside what the file lists
    needs: ClassVar[tuple[str, ...]] = ()

    name: Annotated[Text | None, "What the step is for; shown instead of its verb."] = None
    within: Annotated[Duration | None, "How long it may take."] = None
    expect: Annotated[Expect | None, Kind.EXPECT, "What must come of it."] = None

    @property
    def about(self) -> str:
        """The name that it is about; empty without one, or with several."""
        subject = getattr(self, self.word)
        return subject if isinstance(subject, str) else ""

    def describe(self, text: Callable[[str], str] = str) -> str:
        """One line: the verb, what it acts on, and what distinguishes it from similar steps. `text` puts values into texts."""
        return " ".join([self.word, *self.subject(text), *self.details(text)])

    def subject(self, text: Callable[[str], str]) -> Iterator[str]:
        """What it acts on, for `describe`."""
        if self.about:
            yield text(self.about)

    def details(self, text: Callable[[str], str]) -> Iterator[str]:
        """What distinguishes it from similar steps, for `describe`."""
        yield from ()

    def needed(self) -> Iterator[str]:
        """What it needs of a world."""
        yield from self.needs

    def faults(self) -> Iterator[StepFault]:
        """What is wrong with it, beyond what its shape says."""
        yield from ()

    @classmethod
    def refine(cls, schema: Schema) -> None:
        """Add to its JSON Schema what its shape can't say."""

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        """The steps that repeat an ask, and expect what came of it; empty when it is not this step's."""
        return []

    async def act(self, attempt: Attempt, inner: Inner) -> Mismatch | None:
        """Do what it says, compare with what it expects, save what it saves.

        Raises:
            Undeterminable: the world can't answer a probe.
            UnknownValue: it uses a value that is not there.
            NeverStarted: it is about something whose start was refused, as its step expected.
            StepStopped: a step in it did not hold.
        """
        raise NotImplementedError

    def leave_out(self, attempt: Attempt, why: str) -> None:
        """It was skipped: let later steps know what it did not start or save."""

    def judge(self, seen: Observed, attempt: Attempt) -> Mismatch | None:
        """The first condition on a value, an exit code or outputs that does not hold."""
        expect, output = self.expect, seen.view
        if expect is None:
            return None
        parts: list[Facet] = [
            (conditions, json_at(seen.value, path), path) for path, conditions in (expect.json or {}).items()
        ]
        return _first(
            attempt,
            (expect, seen.value, ""),
            (expect.exit, seen.exit, "exit"),
            (expect.stdout, output.stdout.text() if output else None, "stdout"),
            (expect.stderr, output.stderr.text() if output else None, "stderr"),
            *parts,
        )

    def judge_time(self, began: float, attempt: Attempt) -> Mismatch | None:
        """Whether it took as long as it should."""
        took = self.expect.took if self.expect is not None else None
        return _first(attempt, (took, attempt.stage.journal.now() - began, "seconds"))


class Single(Step, frozen=True, kw_only=True, omit_defaults=True):
    """Asks or does one thing."""

    # asked of a container's first process alone: nothing comes of it where the start of that was refused
    of_init: ClassVar[bool] = False

    async def perform(self, attempt: Attempt) -> Observed:
        """Do it. Raises: KatrioError, Undeterminable, UnknownValue."""
        raise NotImplementedError

    async def act(self, attempt: Attempt, inner: Inner) -> Mismatch | None:
        expect = self.expect or Expect()
        attempt.expected = expect.error or ()
        began = attempt.stage.journal.now()
        value: str | float | None = None
        try:
            seen = await self.observe(attempt)
        except KatrioError as error:
            attempt.seen = ObservedValues(error=error.code)
            if error.code not in (expect.error or ()):
                return Mismatch(_wanted(expect), f"{error.code}: {error.message}", error.code)
            mismatch = _first(attempt, (expect.message, error.message, "message"))
        else:
            attempt.seen, value = ObservedValues(value=seen.value, exit=seen.exit), seen.value
            if expect.error is not None and NO_ERROR not in expect.error:
                return Mismatch(_wanted(expect), "no error")
            mismatch = self.judge(seen, attempt)
        if mismatch is None:
            mismatch = self.judge_time(began, attempt)
        if mismatch is None and expect.state is not None:
            state = attempt.seen.state = await attempt.state_of(self.about)
            mismatch = _first(attempt, (expect.state, state, "state"))
        if mismatch is None and not attempt.seen.error:
            self.keep(value, attempt)
        return mismatch

    def keep(self, value: str | float | None, attempt: Attempt) -> None:
        """Save what it saves. Raises: UnknownValue."""

    async def observe(self, attempt: Attempt) -> Observed:
        """Perform it, unless it is about what never came to be. Raises: KatrioError, Undeterminable, NeverStarted."""
        name = self.about
        # one that expects an error may well be about that
        absence = attempt.absence(name) if name and not attempt.expected else None
        if absence is not None and absence.forbids(self.word, of_init=self.of_init):
            raise NeverStarted(absence.why)
        try:
            seen = await self.perform(attempt)
        except KatrioError as error:
            if absence is not None and error.code not in INFRASTRUCTURE:
                raise NeverStarted(absence.why) from error
            if name and error.code in attempt.expected:
                address = attempt.address(name)
                attempt.stage.refusals.refused(self.word, address, refused(address, self.word, attempt, error))
            raise
        if name:
            attempt.stage.refusals.done(self.word, attempt.address(name))
        return seen


class Acting(Single, frozen=True, kw_only=True, omit_defaults=True):
    """Acts on a sandbox or a container, whose state may be expected after it."""

    facets = frozenset({"error", "state"})


class Valued(Single, frozen=True, kw_only=True, omit_defaults=True):
    """Has a value, which may be kept for later steps."""

    facets = frozenset({"error", "state", "value"})
    save: Annotated[Saves, "Keeps the value for `${name}`; `{name: path}` keeps what its JSON has at a path."] = ()

    def keep(self, value: str | float | None, attempt: Attempt) -> None:
        for name, path in self.save:
            found = json_at(value, path) if path else value
            if found is None:
                raise UnknownValue(f"nothing to save as {name!r}: the value has nothing at {path or 'all'!r}")
            attempt.scope.values[name] = str(found).rstrip("\r\n")

    def leave_out(self, attempt: Attempt, why: str) -> None:
        for name, _ in self.save:
            attempt.scope.unsaved[name] = f"it needs {name!r}, and the step on {attempt.where()} was skipped"


class Look(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Reads one value and changes nothing, so that it may be repeated by `eventually`, `always`, `unchanged`."""

    facets = frozenset({"error", "value"})

    def undeterminable(self, attempt: Attempt) -> Undeterminable | None:
        """Why the world has no answer to it, as far as that is known beforehand."""
        return None


class Block(Step, frozen=True, kw_only=True, omit_defaults=True):
    """Holds other steps."""

    async def perform(self, attempt: Attempt, inner: Inner) -> Mismatch | None:
        """Do it: what did not hold of the step itself. Raises: as `act`."""
        raise NotImplementedError

    async def act(self, attempt: Attempt, inner: Inner) -> Mismatch | None:
        began = attempt.stage.journal.now()
        return await self.perform(attempt, inner) or self.judge_time(began, attempt)

    def judge_value(self, value: int, attempt: Attempt) -> Mismatch | None:
        """Whether its value is what it expects."""
        attempt.seen = ObservedValues(value=value)
        return self.judge(Observed(value), attempt)


StepField = Annotated[Step, Kind.STEP]
LookField = Annotated[Look, Kind.STEP]
Steps = tuple[StepField, ...]
Branches = tuple[Annotated[tuple[Step, ...], Kind.BRANCH], ...]


def same(cls: type[Step], ask: Asked, draft: Draft) -> list[Tree]:
    """For `recorded`: an ask of a target alone, by a verb that is called as the step is, of what the step can be about."""
    if ask.verb != cls.word:
        return []
    kind = unwrap(hints_of(cls)[cls.word])[1]
    of_container = "/" in ask.to
    if (kind is Kind.SANDBOX and of_container) or (kind is Kind.CONTAINER and not of_container):
        return []
    return [{cls.word: draft.target(ask.to)}]


def refused(name: str, word: str, attempt: Attempt, error: KatrioError) -> str:
    """Why something never came to be, in words."""
    made = "created" if word == "create" else "started"
    return f"{name} was never {made}: its {word} on {attempt.where()} was refused, as that step expected ({error.code})"


def _wanted(expect: Expect) -> str:
    codes = [code for code in expect.error or () if code != NO_ERROR]
    if not codes:
        return "no error"
    also = ", or none" if NO_ERROR in (expect.error or ()) else ""
    return f"the error {' or '.join(codes)}{also}"


def _first(attempt: Attempt, *facets: Facet) -> Mismatch | None:
    for conditions, value, what in facets:
        if conditions is None:
            continue
        if (mismatch := holds(conditions, value, attempt.scope.values, what)) is not None:
            return mismatch
    return None
