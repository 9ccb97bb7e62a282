"""What a figure is: a name, both sides of a comparison measured in one run, and the goal it is held to.

A module of this folder lists its figures in `FIGURES`; `scripts/bench` finds them there. Both sides take turns
(A B, B A, A B ...), because a shared machine's speed wanders: the ratio is the median of the rounds' own
ratios, and its spread is told. Not for printing: `report`.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.processor import tree_seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

__all__ = ["Comparison", "Effort", "Figure", "Goal", "Measured", "Rounds", "Skipped", "take_turns"]


class Skipped(Exception):
    """This machine lacks what the figure needs; the text says what to install or do."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What the ratio, or with `of_value` the value itself, may be at most or must be at least."""

    most: float | None = None
    least: float | None = None
    of_value: bool = False

    def met(self, value: float, ratio: float | None) -> bool:
        """Whether it is reached; a goal of the ratio is not when there is none."""
        judged = value if self.of_value else ratio
        if judged is None:
            return False
        return (self.most is None or judged <= self.most) and (self.least is None or judged >= self.least)

    def __str__(self) -> str:
        bound = f"<= {self.most:g}" if self.most is not None else f">= {self.least:g}"
        return bound if self.of_value else f"{bound} x"


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured; `quick` is for a look while tuning."""

    quick: bool = False

    def rounds(self, usual: int) -> int:
        """Turns of each side."""
        return max(3, usual // 3) if self.quick else usual

    def times(self, usual: int) -> int:
        """Operations in one turn."""
        return max(1, usual // 4) if self.quick else usual


@dataclass(frozen=True, slots=True)
class Comparison:
    """One other side: `rounds[i]` was measured right beside our own round i."""

    peer: str
    rounds: Sequence[float]
    goal: Goal | None = None

    @property
    def value(self) -> float:
        """The median of its rounds."""
        return statistics.median(self.rounds)

    def ratio(self, ours: Sequence[float]) -> float:
        """Ours over theirs: the median of the rounds' own ratios."""
        return statistics.median(own / other for own, other in zip(ours, self.rounds, strict=True))


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run found.

    Attributes:
        ours: one value a round, in the figure's unit.
        peers: what it is compared with; the first is the one that the figure is named for.
        notes: what else was seen, as `name: value`.
    """

    ours: Sequence[float]
    peers: Sequence[Comparison] = ()
    notes: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def processor(self) -> tuple[float, float | None] | None:
        """Processor time of an operation in us, ours and the first peer's; None where rounds did not take turns."""
        if not isinstance(self.ours, Rounds):
            return None
        theirs = self.peers[0].rounds if self.peers else None
        beside = statistics.median(theirs.processor) if isinstance(theirs, Rounds) else None
        return statistics.median(self.ours.processor), beside

    @property
    def value(self) -> float:
        """The median of our rounds."""
        return statistics.median(self.ours)

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles of our rounds; the only value twice when there is one."""
        if len(self.ours) < 2:
            return self.ours[0], self.ours[0]
        low, _, high = statistics.quantiles(self.ours, n=4, method="inclusive")
        return low, high


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes:
        name: unlike any other's; what `scripts/bench NAME` takes.
        about: what is measured, in one line.
        unit: of its value.
        measure: runs both sides; raises `Skipped`.
        goal: of the value, where there is nothing to compare with (a `Comparison` has its own).
    """

    name: str
    about: str
    unit: str
    measure: Callable[[Effort], Awaitable[Measured]]
    goal: Goal | None = None


class Rounds(list[float]):
    """One side's values.

    Attributes:
        processor: processor time of an operation in each round, in us: of this process and all below it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.processor: list[float] = []


async def take_turns(
    rounds: int, *sides: Callable[[], Awaitable[float]], operations: int | Sequence[int] = 1
) -> list[Rounds]:
    """Run every side `rounds` times, one after the other, every second round in reverse order; values by side.

    Args:
        operations: how many a turn has, of every side or by side: processor time is told for one.
    """
    values = [Rounds() for _ in sides]
    order = list(enumerate(sides))
    counts = [operations] * len(sides) if isinstance(operations, int) else operations
    for number in range(rounds):
        for position, side in order if number % 2 == 0 else reversed(order):
            before = tree_seconds()
            values[position].append(await side())
            values[position].processor.append((tree_seconds() - before) / counts[position] * 1e6)
    return values
