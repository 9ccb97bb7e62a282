"""`katrio validate` and `katrio list`: commands that read scenario files and run nothing.

Not for running them: `run`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from actors.cli.exits import Exit
from actors.cli.find import find_files
from actors.cli.programs import load_any
from actors.cli.say import complain, note, say
from actors.errors import KatrioError
from actors.reporting.texts import counted, json_text
from actors.scenario.reading.foreign import TOOLS
from actors.scenario.reading.load import Sources, looks_like_scenario, read_file
from actors.scenario.reading.problems import Problem, ScenarioError
from actors.scenario.reading.scenario import steps_of
from actors.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from actors.cli.options.files import FileOptions
    from actors.cli.options.run import RunOptions
    from actors.scenario.reading.scenario import Loaded

__all__ = ["list_files", "load_all", "load_to_run", "report_problems", "validate"]


# files that were left out and are told one by one
_LISTED = 10


class Listed(msgspec.Struct, frozen=True):
    """One row of `katrio list --json`."""

    file: str
    name: str
    why: str
    group: str
    labels: tuple[str, ...]
    needs: tuple[str, ...]
    steps: int


def load_all(
    paths: tuple[Path, ...], *, given: Mapping[str, str] | None = None, words: Sequence[str] = ()
) -> tuple[list[Loaded], list[Problem]]:
    """Every file that is a scenario, and every fault of those that are not.

    Args:
        given: values for the files' vars; each for those that have it, and at least one has.
        words: of `--filter`: files with none of them in name, file, group or labels are left out.
    """
    loaded: list[Loaded] = []
    problems: list[Problem] = []
    found = find_files(paths)
    problems += found.problems
    walked = frozenset(found.walked)
    sources, names = Sources(given or {}, os.environ), set[str]()
    for path in (*found.named, *found.walked):
        try:
            one = load_any(path, sources=sources)
        except ScenarioError as error:
            if path in walked and not _is_intended(path):
                found.skipped.append(f"{path}: skipped: {_tool(error) or 'no scenario'}")
            else:
                problems += error.problems
        else:
            names |= one.scenario.vars.keys()
            if not words or _matches(one, words):
                loaded.append(one)
    if not problems:
        # one that is broken may have them
        problems += [_unknown(name, names, paths) for name in given or () if loaded and name not in sources.used]
    _report_skipped(found.skipped)
    return loaded, problems


def _unknown(name: str, names: set[str], paths: tuple[Path, ...]) -> Problem:
    """Of a variable that no file has."""
    where = ", ".join(map(str, paths))
    like = nearest(name, sorted(names))
    return Problem(file=where, field="vars", found=f"--var {name}", expected="a name of 'vars'", nearest=like)


def _is_intended(path: Path) -> bool:
    try:
        return looks_like_scenario(read_file(path))
    except OSError:
        return False


def _tool(error: ScenarioError) -> str:
    """Whose file it is, where that is known."""
    found = error.problems[0].found
    return found if found in TOOLS else ""


def _report_skipped(skipped: Sequence[str]) -> None:
    note(*(f"katrio: {one}" for one in skipped[:_LISTED]))
    if len(skipped) > _LISTED:
        note(f"katrio: and {len(skipped) - _LISTED} more were skipped")


def _matches(loaded: Loaded, words: Sequence[str]) -> bool:
    scenario = loaded.scenario
    texts = [loaded.file, scenario.name, scenario.group]
    labels = [label.lower() for label in scenario.labels]
    return any(word in labels or any(word in text.lower() for text in texts) for word in words)


def load_to_run(options: RunOptions) -> list[Loaded] | Exit:
    """What the options name; or, when nothing is to be run, the exit code, after everything was said."""
    loaded, problems = load_all(options.files, given=dict(options.given), words=options.words)
    if options.world == "embedded" and (missing := _missing_images(loaded)) and _has_images(options):
        problems += missing
    if problems or not loaded:
        report_problems(problems or [_nothing(options.files, options.words)])
        return Exit.USAGE
    return _dry_run(loaded) if options.dry_run else loaded


def _has_images(options: RunOptions) -> bool:
    """Whether containers get images of this machine: plain processes have none."""
    from actors.node.facts import choose_engine, read_facts

    try:
        return options.agent != "noop" and choose_engine(read_facts(), options.engine)[0] != "processes"
    except KatrioError:
        # an engine that is not there; its own message comes first
        return False


def _missing_images(loaded: Sequence[Loaded]) -> list[Problem]:
    """What files name and this machine has not; images are this machine's alone, and take time to import."""
    if not any(one.images for one in loaded):
        return []
    from actors.cli.needed_images import missing_images

    return [problem for one in loaded for problem in missing_images(one)]


def _dry_run(loaded: Sequence[Loaded]) -> Exit:
    """Say what would run, and start nothing; the exit code."""
    for one in loaded:
        scenario = one.scenario
        containers = [f"{name}/{inner}" for name, sandbox in scenario.sandboxes.items() for inner in sandbox.containers]
        say(f"{one.file}: {scenario.name}")
        say(f"  needs {', '.join(one.needs) or 'nothing'}; at most {scenario.limits.total:g} s")
        if one.program is not None:
            say("  a program: what it makes and does is known once it runs")
            continue
        say(f"  containers: {', '.join(containers) or 'none'}")
        for path, step in steps_of(one):
            say(f"  {'  ' * path.count('.')}line {one.lines[path]:<4} {step.name or step.describe()}")
    return Exit.HELD


def report_problems(problems: list[Problem]) -> None:
    """A line each, on the error stream."""
    for problem in problems:
        complain(str(problem))


def _nothing(paths: tuple[Path, ...], words: Sequence[str]) -> Problem:
    """That there is nothing to run, and whether it is the filter that left nothing."""
    found = find_files(paths)
    count = len(found.named) + len(found.walked)
    where = ", ".join(map(str, paths))
    if words and count:
        files = "the one file" if count == 1 else f"the {count} files"
        return Problem(
            file=where,
            found=f"--filter {','.join(words)}, and none of {files} has such a word",
            expected="one of them in name, file, group or labels",
        )
    there = "no scenario among its files" if count else "no .yaml or .yml file in it or below"
    programs = sorted(path.name for folder in paths if folder.is_dir() for path in folder.glob("*.py"))[:1]
    also = f"; a Python scenario is run by its own name, as {programs[0]}" if programs else ""
    return Problem(file=where, found=there, expected=f"a folder of scenarios{also}")


def validate(options: FileOptions) -> int:
    """Check files; the exit code."""
    loaded, problems = load_all(options.files)
    problems += _missing_images(loaded)
    if not loaded and not problems:
        problems.append(_nothing(options.files, ()))
    if options.json:
        say(json_text(problems))
        return Exit.USAGE if problems else Exit.HELD
    report_problems(problems)
    broken = {problem.file for problem in problems}
    for one in (one for one in loaded if one.file not in broken):
        count = len(one.scenario.steps)
        what = counted(count, "step") if one.program is None else "a program that loads"
        say(f"{one.file}: right ({what}; needs {', '.join(one.needs) or 'nothing'})")
    return Exit.USAGE if problems else Exit.HELD


def list_files(options: FileOptions) -> int:
    """Say what files are for; the exit code."""
    loaded, problems = load_all(options.files, words=options.words)
    rows = [
        Listed(
            one.file,
            one.scenario.name,
            one.scenario.why.strip(),
            one.scenario.group,
            one.scenario.labels,
            one.needs,
            len(one.scenario.steps),
        )
        for one in loaded
    ]
    if options.json:
        say(json_text(rows))
    else:
        group = None
        for row in sorted(rows, key=lambda row: row.group):
            if row.group and row.group != group:
                say(*([] if group is None else [""]), row.group, "")
            group = row.group
            why = [f"    {line}" for line in row.why.splitlines()]
            say(f"{row.file}: {row.name}", *why, f"    needs {', '.join(row.needs) or 'nothing'}")
    if not rows and not problems:
        problems.append(_nothing(options.files, options.words))
    report_problems(problems)
    return Exit.USAGE if problems else Exit.HELD
