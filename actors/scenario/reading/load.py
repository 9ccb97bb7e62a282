"""A scenario file, read and checked whole before anything starts.

For the runner, the command line and editors. Not for running: what comes back is data.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from actors.node.named_files import read_named
from actors.scenario.language.kinds import Kind
from actors.scenario.reading.binding import Binder, Sources
from actors.scenario.reading.foreign import foreign_tree, top_words
from actors.scenario.reading.includes import Includer, Reader, no_files
from actors.scenario.reading.names import check_names, counted
from actors.scenario.reading.problems import Problem, ScenarioError
from actors.scenario.reading.scenario import ImagePlace, Loaded, Scenario, verbs_of
from actors.scenario.reading.yamltree import MAX_BYTES, read_tree
from actors.scenario.steps import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Sources", "load_file", "load_text", "looks_like_scenario", "read_file"]

_TOP = re.compile(rb"^[\"']?(name|why|steps|sandboxes)[\"']?[ ]*:", re.MULTILINE)


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
    """At most one byte more than is allowed. Raises: OSError; also of what is no file, and of a silent pipe."""
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
    binder = Binder(STEPS, sources or Sources())
    tree = read_tree(data, file)
    if tool := foreign_tree(tree):
        expected = "a scenario of katrio's: name, why, sandboxes, steps (docs/scenarios.md)"
        raise ScenarioError([Problem(file=file, found=tool, expected=expected)])
    tree = Includer(read).scenario(tree)
    declared: Scenario = binder.bind(tree, Scenario, "")
    problems, targets = check_names(declared, binder.references, binder.scopes, binder.steps)
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
        yield from step.needed()
        looked_for = (
            *((step.expect.json or {}) if step.expect else ()),
            *(path for _, path in getattr(step, "save", None) or ()),
        )
        if any("oom_kills" in path for path in looked_for):
            yield from ("oom", "oom_told")
