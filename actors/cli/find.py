"""The scenario files that a command line means: named ones, and what lies below a named folder.

A folder is walked like a project's own: hidden names, installed packages and links to folders are left out, and so is
what is no regular file. What lies in it and is no scenario is another tool's, and is skipped with a note; a file that was
named must be right. Not for reading them: `files`.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from actors.scenario.reading.problems import Problem

__all__ = ["Found", "find_files"]

# a folder with more below it is none of scenarios: a home, or a whole disk; walked in half a second
MAX_ENTRIES = 100_000
SUFFIXES = (".yaml", ".yml")
# what tools put there, by the thousand
_INSTALLED = frozenset({"node_modules", "__pycache__", "site-packages"})
_ENVIRONMENT = "pyvenv.cfg"


@dataclass(slots=True)
class Found:
    """`walked` are of folders; `skipped` says what was left out and is worth a word."""

    named: list[Path] = field(default_factory=list[Path])
    walked: list[Path] = field(default_factory=list[Path])
    skipped: list[str] = field(default_factory=list[str])
    problems: list[Problem] = field(default_factory=list[Problem])


def find_files(paths: tuple[Path, ...], *, most: int = MAX_ENTRIES) -> Found:
    """The files, and for a folder every .yaml and .yml below it, sorted; programs are run when they are named."""
    found = Found()
    for path in paths:
        if path.is_dir():
            _walk(path, found, most)
        else:
            found.named.append(path)
    found.skipped.sort()
    return found


def _walk(top: Path, found: Found, most: int) -> None:
    files: list[Path] = []
    folders, count = [top], 0
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    count += 1
                    if count > most:
                        problem = f"more than {most} files and folders below it"
                        found.problems.append(Problem(file=str(top), found=problem, expected="a folder of scenarios"))
                        return
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in _INSTALLED and not os.path.lexists(os.path.join(entry, _ENVIRONMENT)):
                            folders.append(folder / entry.name)
                    elif entry.name.endswith(SUFFIXES) and (path := _regular(folder / entry.name, found)) is not None:
                        files.append(path)
        except OSError as error:
            found.skipped.append(f"{folder}: skipped: {error.strerror}")
    found.walked += sorted(files)


def _regular(path: Path, found: Found) -> Path | None:
    """A regular file, perhaps behind a link; None for a link to a folder, and for what can't be read as a file."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        found.skipped.append(f"{path}: skipped: {error.strerror}")
        return None
    if stat.S_ISREG(mode):
        return path
    if not stat.S_ISDIR(mode):
        found.skipped.append(f"{path}: skipped: no regular file")
    return None
