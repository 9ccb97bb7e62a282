"""A Python file with an `async def scenario(world)`, loaded as a scenario; and any file, by its suffix.

For the commands and the pytest plugin. Loading runs the file, as importing it would: it is code of whoever runs it.
Not for running the function: `actors.scenario`.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from typing import TYPE_CHECKING, Any, cast

import msgspec

from actors.scenario.language.declared import LimitsDecl
from actors.scenario.language.needs import Need
from actors.scenario.reading.load import Sources, load_file, load_text
from actors.scenario.reading.problems import Problem, ScenarioError
from actors.scenario.reading.scenario import Loaded, Scenario
from actors.scenario.reading.yamltree import MAX_BYTES
from actors.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from actors.scenario.stage.python import PythonWorld

__all__ = ["describe_program", "load_any", "load_program"]

# what a module may say of itself, beside the function; `why` is its docstring
_WORDS = ("name", "group", "labels", "needs", "limits")
PYTHON = ".py"


def load_any(path: Path, *, sources: Sources | None = None) -> Loaded:
    """A Python file as a program, any other as a scenario file, `-` as one on standard input. Raises: ScenarioError."""
    if str(path) == "-":
        return load_text(sys.stdin.buffer.read(MAX_BYTES + 1), str(path), sources=sources)
    return load_program(path) if path.suffix == PYTHON else load_file(path, sources=sources)


def load_program(path: Path) -> Loaded:
    """Run the file, and take its function. Raises: ScenarioError."""
    file = str(path)
    if path.suffix != PYTHON:
        expected = "a Python file (.py) with an async def scenario(world)"
        raise ScenarioError([Problem(file=file, found=f"a name that ends in {path.suffix!r}", expected=expected)])
    if not path.is_file():
        found = "no regular file" if path.exists() else "No such file or directory"
        raise ScenarioError([Problem(file=file, found=found, expected="a file")])
    spec = importlib.util.spec_from_file_location(f"katrio_scenario_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        line = error.lineno or 0 if isinstance(error, SyntaxError) else _line(error, str(spec.origin))
        found = f"{type(error).__name__}: {error}"
        raise ScenarioError([Problem(file=file, line=line, column=1, found=found, expected="a module")]) from error
    function = getattr(module, "scenario", None)
    if not inspect.iscoroutinefunction(function):
        raise ScenarioError([Problem(file=file, found="no such function", expected="async def scenario(world)")])
    words = {word: getattr(module, word) for word in _WORDS if hasattr(module, word)}
    words.setdefault("name", path.stem.replace("_", " "))
    why = inspect.getdoc(function) or inspect.getdoc(module) or ""
    return describe_program(cast("Callable[[PythonWorld], Awaitable[None]]", function), file, why, words)


def describe_program(
    function: Callable[[PythonWorld], Awaitable[None]], file: str, why: str, words: Mapping[str, Any]
) -> Loaded:
    """A function as a scenario, with what its module says of it. Raises: ScenarioError."""
    needs = tuple(words.get("needs", ()))
    for need in needs:
        if need not in set(Need):
            problem = Problem(
                file=file,
                field="needs",
                found=repr(need),
                expected="something a world can provide",
                nearest=nearest(need, Need),
            )
            raise ScenarioError([problem])
    try:
        limits = msgspec.convert(dict(words.get("limits", {})), LimitsDecl)
    except msgspec.ValidationError as error:
        expected = "a mapping of total and step, in seconds"
        raise ScenarioError([Problem(file=file, field="limits", found=str(error), expected=expected)]) from None
    scenario = Scenario(
        name=str(words["name"]),
        why=why,
        group=str(words.get("group", "")),
        labels=tuple(words.get("labels", ())),
        needs=needs,
        limits=limits,
        steps=(),
    )
    return Loaded(file, scenario, needs, {}, {}, {}, function)


def _line(error: Exception, file: str) -> int:
    trace = error.__traceback__
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
