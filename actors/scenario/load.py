"""A scenario file, read and checked whole before anything starts.

For the runner, the command line and editors. Not for running: what comes back is data.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, cast

import msgspec

from actors.host.named_files import read_named
from actors.likeness import nearest
from actors.scenario.asks import Update
from actors.scenario.binding import Binder, Sources
from actors.scenario.foreign import foreign_tree, top_words
from actors.scenario.includes import Includer, Reader, no_files
from actors.scenario.model import Kind, Scenario, Step
from actors.scenario.names import check_names, counted
from actors.scenario.problems import Problem, ScenarioError
from actors.scenario.yamltree import MAX_BYTES, read_tree

if TYPE_CHECKING:
    import collections.abc as abc
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from actors.scenario.python import PythonWorld

__all__ = [
    "ImagePlace",
    "Loaded",
    "Sources",
    "load_file",
    "load_text",
    "looks_like_scenario",
    "read_file",
    "steps_of",
    "verbs_of",
]

_TOP = re.compile(rb"^[\"']?(name|why|steps|sandboxes)[\"']?[ ]*:", re.MULTILINE)


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
        slow: how many times as long all may take as it says (`actors.scenario.slowed`).
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


def load_file(path: Path, *, name: str | None = None, sources: Sources | None = None) -> Loaded:
    """Read a file, and what it includes from its own directory or below; `name` is what to call it in messages.

    Raises: ScenarioError.
    """
    file = name or str(path)

    def read(wanted: str) -> bytes:
        relative = PurePosixPath(wanted)
        if relative.is_absolute() or ".." in relative.parts:
            raise ValueError("not below this file's directory")
        return read_file(path.parent / relative)

    try:
        data = read_file(path)
    except OSError as error:
        raise ScenarioError([Problem(file=file, found=error.strerror or str(error), expected="a file")]) from None
    return load_text(data, file, sources=sources, read=read)


def read_file(path: Path) -> bytes:
    """At most as much as tells that it is too much. Raises: OSError; also of what is no file, and of a silent pipe."""
    return read_named(path, MAX_BYTES)


def looks_like_scenario(data: bytes) -> bool:
    """Whether somebody meant this file to be a scenario, right or wrong: it has words at its top that together no other
    tool's files have. For files that nobody named."""
    try:
        keys = top_words(read_tree(data, ""))
    except ScenarioError:
        keys = frozenset(match[1].decode() for match in _TOP.finditer(data))
    return {"name", "why"} <= keys or {"why", "steps"} <= keys or {"sandboxes", "steps"} <= keys


def load_text(data: bytes, file: str, *, sources: Sources | None = None, read: Reader = no_files) -> Loaded:
    """Check a file's content. Raises: ScenarioError, with every fault found."""
    binder = Binder(sources or Sources())
    tree = read_tree(data, file)
    if tool := foreign_tree(tree):
        expected = "a scenario of katrio's: name, why, sandboxes, steps (docs/scenarios.md)"
        raise ScenarioError([Problem(file=file, found=tool, expected=expected)])
    tree = Includer(read).scenario(tree)
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
    images = tuple(
        ImagePlace(use.path, use.text, use.file, use.line, use.column)
        for use in binder.references
        if use.kind is Kind.TEXT
        and use.path.startswith(("defaults.", "sandboxes."))
        and use.path.rpartition(".")[2] == "image"
    )
    return Loaded(file, scenario, needs, binder.lines, binder.files, targets, images=images)


def _implied(scenario: Scenario) -> Iterator[str]:
    """What its words need: what its containers are limited in, what its steps do, and what those look for."""
    boxes = scenario.sandboxes.values()
    declared = [scenario.defaults, *(one for box in boxes for one in (box.defaults, *box.containers.values()))]
    if any(limit is not None for one in declared for limit in (one.memory, one.pids, one.cpus)):
        yield "limits"
    if any(one.readonly for one in declared):
        yield "images"
    if any(one.pids is not None for one in declared):
        yield "pids_limit"
    for step in verbs_of(scenario):
        yield from step.needs
        if isinstance(step, Update) and step.pids is not None:
            yield "pids_limit"
        looked_for = (
            *((step.expect.json or {}) if step.expect else ()),
            *(path for _, path in getattr(step, "save", None) or ()),
        )
        if any("oom_kills" in path for path in looked_for):
            yield from ("oom", "oom_told")


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
