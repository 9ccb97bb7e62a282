"""A scenario that was read: its shape, and all that is known of it before it runs.

For the loader, which makes it, and for the runner and reports.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec

from actors.scenario.language.declared import Declared
from actors.scenario.steps.base import Step, Steps

if TYPE_CHECKING:
    import collections.abc as abc
    from collections.abc import Awaitable, Callable, Iterator

    from actors.scenario.stage.python import PythonWorld

__all__ = ["ImagePlace", "Loaded", "Scenario", "steps_of", "verbs_of"]


class Scenario(Declared, frozen=True, kw_only=True, omit_defaults=True):
    """One file."""

    steps: Annotated[Steps, "What happens, in order."]
    finally_: Annotated[
        Steps, "Steps for every way out, ^C and a lost guest included; each runs whatever became of the others."
    ] = msgspec.field(default=(), name="finally")


@dataclass(frozen=True, slots=True)
class ImagePlace:
    """A place where the file names an image: its `field`, and the `text` there, perhaps with `${name}` in it."""

    field: str
    text: str
    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """A scenario that is right in itself.

    Attributes:
        file: as the caller named it.
        needs: what it lists and what its steps need, each once, in that order.
        lines: the line of each step, by its path (`steps[2].while[0]`).
        files: the file of each step, by its path: this one, or one that it includes.
        targets: the names that a step's target may stand for, by its path (`steps[2].while[0].create`).
        images: where it names images.
        program: of a scenario that is a Python function, whose file has no steps.
        slow: how many times as long all may take as it says (`slowed`).
    """

    file: str
    scenario: Scenario
    needs: tuple[str, ...]
    lines: abc.Mapping[str, int]
    files: abc.Mapping[str, str]
    targets: abc.Mapping[str, tuple[str, ...]]
    program: Callable[[PythonWorld], Awaitable[None]] | None = None
    images: tuple[ImagePlace, ...] = ()
    slow: float = 1.0

    @property
    def source(self) -> str:
        """The file that a function was written in, as its frames name it; empty for a scenario file."""
        code = getattr(inspect.unwrap(self.program), "__code__", None) if self.program is not None else None
        return "" if code is None else code.co_filename


def verbs_of(part: Any) -> Iterator[Step]:
    """Every step of a scenario, a step or a block, inner ones after the one they stand in."""
    if isinstance(part, tuple):
        for item in cast("tuple[object, ...]", part):
            yield from verbs_of(item)
    elif isinstance(part, Scenario):
        yield from verbs_of((part.steps, part.finally_))
    elif isinstance(part, Step):
        yield part
        for name in part.__struct_fields__:
            yield from verbs_of(getattr(part, name))


def steps_of(loaded: Loaded) -> Iterator[tuple[str, Step]]:
    """Every step with its path, in the order of the file."""
    for field, steps in (("steps", loaded.scenario.steps), ("finally", loaded.scenario.finally_)):
        yield from _placed(field, steps, loaded)


def _placed(path: str, part: tuple[object, ...], loaded: Loaded) -> Iterator[tuple[str, Step]]:
    for index, item in enumerate(part):
        place = f"{path}[{index}]"
        if isinstance(item, tuple):
            yield from _placed(place, cast("tuple[object, ...]", item), loaded)
        elif isinstance(item, Step):
            # the one step of a branch stands at the branch's own place
            place = place if place in loaded.lines else path
            yield place, item
            for name, word in zip(item.__struct_fields__, item.__struct_encode_fields__, strict=True):
                if isinstance(inner := getattr(item, name), tuple):
                    yield from _placed(f"{place}.{word}", cast("tuple[object, ...]", inner), loaded)
