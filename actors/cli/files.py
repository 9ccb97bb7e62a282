"""`katrio validate` and `katrio list`: commands that read scenario files and run nothing.

Not for running them: `run`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from actors.cli.exits import Exit
from actors.scenario.load import load_file
from actors.scenario.problems import ScenarioError

if TYPE_CHECKING:
    from pathlib import Path

    from actors.cli.options import FileOptions
    from actors.scenario.load import Loaded
    from actors.scenario.problems import Problem

__all__ = ["list_files", "load_all", "scenario_files", "tell_problems", "validate"]


class Listed(msgspec.Struct, frozen=True):
    """One row of `katrio list --json`."""

    file: str
    name: str
    why: str
    needs: tuple[str, ...]
    steps: int


def scenario_files(paths: tuple[Path, ...]) -> list[Path]:
    """The files, and for a directory every .yaml and .yml below it, sorted."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if file.suffix in (".yaml", ".yml"))
        else:
            found.append(path)
    return found


def load_all(paths: tuple[Path, ...]) -> tuple[list[Loaded], list[Problem]]:
    """Every file that is a scenario, and every fault of those that are not."""
    loaded: list[Loaded] = []
    problems: list[Problem] = []
    for path in scenario_files(paths):
        try:
            loaded.append(load_file(path))
        except ScenarioError as error:
            problems += error.problems
    return loaded, problems


def tell_problems(problems: list[Problem]) -> None:
    """A line each, on the error stream."""
    for problem in problems:
        print(f"katrio: {problem}", file=sys.stderr)


def validate(options: FileOptions) -> int:
    """Check files; the exit code."""
    loaded, problems = load_all(options.files)
    if options.json:
        print(msgspec.json.encode(problems).decode())
        return Exit.USAGE if problems else Exit.HELD
    tell_problems(problems)
    for one in loaded:
        print(f"{one.file}: right ({len(one.scenario.steps)} steps; needs {', '.join(one.needs) or 'nothing'})")
    return Exit.USAGE if problems or not loaded else Exit.HELD


def list_files(options: FileOptions) -> int:
    """Say what files are for; the exit code."""
    loaded, problems = load_all(options.files)
    rows = [
        Listed(one.file, one.scenario.name, one.scenario.why.strip(), one.needs, len(one.scenario.steps))
        for one in loaded
    ]
    if options.json:
        print(msgspec.json.encode(rows).decode())
    else:
        for row in rows:
            print(f"{row.file}: {row.name}\n    {row.why}\n    needs {', '.join(row.needs) or 'nothing'}")
    tell_problems(problems)
    return Exit.USAGE if problems else Exit.HELD
