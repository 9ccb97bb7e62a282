"""A scenario file, read and checked whole before anything starts.

For the runner, the command line and editors. Not for running: what comes back is data.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, cast

import msgspec

from actors.likeness import nearest
from actors.scenario.binding import Binder, Sources
from actors.scenario.includes import Includer, Reader, no_files
from actors.scenario.model import Scenario, Step
from actors.scenario.names import check_names, counted
from actors.scenario.problems import Problem, ScenarioError
from actors.scenario.yamltree import MAX_BYTES, read_tree

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from pathlib import Path

    from actors.scenario.python import PythonWorld

__all__ = ["Loaded", "Sources", "load_file", "load_text", "steps_of", "verbs_of"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A scenario that is right in itself.

    Attributes:
        file: as the caller named it.
        needs: what it lists and what its steps need, each once, in that order.
        lines: the line of each step, by its path (`steps[2].while[0]`).
        files: the file of each step, by its path: this one, or one that it includes.
        targets: the names that a step's target may stand for, by its path (`steps[2].while[0].create`).
        program: of a scenario that is a Python function, whose file has no steps.
    """

    file: str
    scenario: Scenario
    needs: tuple[str, ...]
    lines: Mapping[str, int]
    files: Mapping[str, str]
    targets: Mapping[str, tuple[str, ...]]
    program: Callable[[PythonWorld], Awaitable[None]] | None = None

    @property
    def source(self) -> str:
        """The file that a function was written in, as its frames name it; empty for a scenario file."""
        code = getattr(inspect.unwrap(self.program), "__code__", None) if self.program is not None else None
        return "" if code is None else code.co_filename


def load_file(path: Path, *, name: str | None = None, sources: Sources | None = None) -> Loaded:
    """Read a file, and what it includes from its own directory or below; `name` is what to call it in messages.

    Raises: ScenarioError.
    """
    file = name or str(path)

    def read(wanted: str) -> bytes:
        relative = PurePosixPath(wanted)
        if relative.is_absolute() or ".." in relative.parts:
            raise ValueError("not below this file's directory")
        return _read(path.parent / relative)

    try:
        data = _read(path)
    except OSError as error:
        raise ScenarioError([Problem(file=file, found=error.strerror or str(error), expected="a file")]) from None
    return load_text(data, file, sources=sources, read=read)


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def load_text(data: bytes, file: str, *, sources: Sources | None = None, read: Reader = no_files) -> Loaded:
    """Check a file's content. Raises: ScenarioError, with every fault found."""
    binder = Binder(sources or Sources())
    tree = Includer(read).scenario(read_tree(data, file))
    declared: Scenario = binder.bind(tree, Scenario, "")
    problems, targets = check_names(declared, binder)
    for name in sorted(set(binder.sources.given) - binder.sources.used):
        like = nearest(name, declared.vars)
        problems.append(
            Problem(file=file, field="vars", found=f"--var {name}", expected="a name of 'vars'", nearest=like)
        )
    if problems:
        raise ScenarioError(problems)
    scenario = counted(declared)
    needs = tuple(dict.fromkeys([*scenario.needs, *_implied(scenario)]))
    return Loaded(file, scenario, needs, binder.lines, binder.files, targets)


def _implied(scenario: Scenario) -> Iterator[str]:
    """What its words need: what its containers are limited in, what its steps do, and what those look for."""
    boxes = scenario.sandboxes.values()
    declared = [scenario.defaults, *(one for box in boxes for one in (box.defaults, *box.containers.values()))]
    if any(limit is not None for one in declared for limit in (one.memory, one.pids, one.cpus)):
        yield "limits"
    for step in verbs_of(scenario):
        yield from step.needs
        looked_for = (
            *((step.expect.json or {}) if step.expect else ()),
            *(path for _, path in getattr(step, "save", None) or ()),
        )
        if any("oom_kills" in path for path in looked_for):
            yield "oom"


def verbs_of(part: Any) -> Iterator[Step]:
    """Every step of a scenario, a step or a block, inner ones after the one they stand in."""
    if isinstance(part, tuple):
        for item in cast("tuple[object, ...]", part):
            yield from verbs_of(item)
    elif isinstance(part, Scenario):
        yield from verbs_of((part.steps, part.finally_))
    elif isinstance(part, Step):
        yield part
        for item in msgspec.structs.fields(part):
            yield from verbs_of(getattr(part, item.name))


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
            for field in msgspec.structs.fields(item):
                if isinstance(inner := getattr(item, field.name), tuple):
                    yield from _placed(f"{place}.{field.encode_name}", cast("tuple[object, ...]", inner), loaded)
