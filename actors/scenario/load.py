"""A scenario file, read and checked whole before anything starts.

For the runner, the command line and editors. Not for running: what comes back is data.
"""

from __future__ import annotations

import errno
import inspect
import os
import re
import select
import stat
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, cast

import msgspec

from actors.likeness import nearest
from actors.scenario.asks import Update
from actors.scenario.binding import Binder, Sources
from actors.scenario.includes import Includer, Reader, no_files
from actors.scenario.model import Scenario, Step
from actors.scenario.names import check_names, counted
from actors.scenario.problems import Problem, ScenarioError
from actors.scenario.yamltree import MAX_BYTES, Mapping, read_tree

if TYPE_CHECKING:
    import collections.abc as abc
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from actors.scenario.python import PythonWorld

__all__ = ["Loaded", "Sources", "load_file", "load_text", "looks_like_scenario", "read_file", "steps_of", "verbs_of"]

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
# somebody waits at a terminal
_PIPE_SECONDS = 5
_TOP = re.compile(rb"^[\"']?(name|why|steps|sandboxes)[\"']?[ ]*:", re.MULTILINE)


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
        slow: how many times as long all may take as it says (`actors.scenario.slowed`).
    """

    file: str
    scenario: Scenario
    needs: tuple[str, ...]
    lines: abc.Mapping[str, int]
    files: abc.Mapping[str, str]
    targets: abc.Mapping[str, tuple[str, ...]]
    program: Callable[[PythonWorld], Awaitable[None]] | None = None
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
    mode = path.stat().st_mode
    if stat.S_ISFIFO(mode):
        return _read_pipe(path)
    if not stat.S_ISREG(mode):
        # not even opened: that alone does something to some devices
        raise OSError(errno.EINVAL, next((word for is_it, word in _KINDS if is_it(mode)), "no file"))
    with path.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def _read_pipe(path: Path) -> bytes:
    """A pipe, as a shell's `<(...)` makes one, to its end."""
    data = b""
    # does not wait for a writer
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while len(data) <= MAX_BYTES:
            if not poll.poll(1000 * _PIPE_SECONDS):
                raise OSError(errno.ETIMEDOUT, f"a pipe into which nobody wrote for {_PIPE_SECONDS} s")
            part = os.read(descriptor, MAX_BYTES)
            if not part:
                break
            data += part
    finally:
        os.close(descriptor)
    return data


def looks_like_scenario(data: bytes) -> bool:
    """Whether somebody meant this file to be a scenario, right or wrong: it has words at its top that together no other
    tool's files have. For files that nobody named."""
    try:
        tree = read_tree(data, "")
        keys = {str(key.value) for key, _ in tree.value} if isinstance(tree, Mapping) else set[str]()
    except ScenarioError:
        keys = {match[1].decode() for match in _TOP.finditer(data)}
    return {"name", "why"} <= keys or {"why", "steps"} <= keys or {"sandboxes", "steps"} <= keys


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
