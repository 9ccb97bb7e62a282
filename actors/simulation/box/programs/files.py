"""File programs: ls, touch, rm, rmdir, mkdir, cp, mv, chmod.

For the table. The files of a simulated container have no owners, times or links, and of a mode only the executable
bits matter.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from actors.simulation.box.kernel.calls import (
    Call,
    CallFailed,
    ChangeMode,
    Close,
    ListDirectory,
    MakeDirectory,
    Open,
    Remove,
    Status,
    Write,
)
from actors.simulation.box.programs.common import UsageFault, complain, options, read_all, say

if TYPE_CHECKING:
    from collections.abc import Generator

    from actors.simulation.box.kernel.calls import Body
    from actors.simulation.box.kernel.process import Process
    from actors.simulation.box.kernel.tree import FileStatus

__all__ = ["chmod", "cp", "ls", "mkdir", "mv", "rm", "rmdir", "touch"]


def ls(process: Process) -> Body:
    """Names, one a line; -a -d -1."""
    found, paths = options(process, "ad1")
    status = 0
    files: list[str] = []
    folders: list[str] = []
    for path in paths or ["."]:
        what: FileStatus | None = yield Status(path)
        if what is None:
            status = yield from complain(process, f"{path}: No such file or directory")
        elif what.kind == "directory" and "d" not in found:
            folders.append(path)
        else:
            files.append(path)
    if files:
        yield from say("".join(f"{path}\n" for path in files))
    for at, path in enumerate(folders):
        names: list[str] = yield ListDirectory(path)
        shown = [".", "..", *names] if "a" in found else [name for name in names if not name.startswith(".")]
        heading = f"{chr(10) if at or files else ''}{path}:\n" if len(folders) + len(files) > 1 else ""
        text = heading + "".join(f"{name}\n" for name in shown)
        if text:
            yield from say(text)
    return status


def _each(
    process: Process, paths: list[str], call: type[Remove | MakeDirectory], what: str
) -> Generator[Call, Any, int]:
    if not paths:
        raise UsageFault("missing operand")
    status = 0
    for path in paths:
        try:
            yield call(path)
        except CallFailed as failed:
            status = yield from complain(
                process, f"{what} '{path}': {failed.error}" if what else f"'{path}': {failed.error}"
            )
    return status


def rm(process: Process) -> Body:
    """Files; -f, and -r for directories."""
    found, paths = options(process, "frR")
    status = 0
    if not paths and "f" not in found:
        raise UsageFault("missing operand")
    for path in paths:
        try:
            yield from _remove(path, deep="r" in found or "R" in found)
        except CallFailed as failed:
            if failed.error == "Is a directory":
                status = yield from complain(process, f"'{path}' is a directory")
            elif "f" not in found or failed.error != "No such file or directory":
                status = yield from complain(process, f"can't remove '{path}': {failed.error}")
    return status


def _remove(path: str, *, deep: bool) -> Generator[Call, Any, None]:
    what: FileStatus | None = yield Status(path)
    if what is not None and what.kind == "directory":
        if not deep:
            raise CallFailed("Is a directory")
        names: list[str] = yield ListDirectory(path)
        for name in names:
            yield from _remove(posixpath.join(path, name), deep=True)
    yield Remove(path)


def rmdir(process: Process) -> Body:
    """Empty directories."""
    _, paths = options(process, "")
    return (yield from _each(process, paths, Remove, ""))


def mkdir(process: Process) -> Body:
    """Directories; -p with their parents, existing ones being fine."""
    found, paths = options(process, "p")
    if "p" not in found:
        return (yield from _each(process, paths, MakeDirectory, "can't create directory"))
    wanted: list[str] = []
    for path in paths:
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            below = "/".join(parts[:end])
            what: FileStatus | None = (yield Status(below)) if below else None
            if below and (what is None or what.kind != "directory") and below not in wanted:
                wanted.append(below)
    return (yield from _each(process, wanted, MakeDirectory, "can't create directory")) if wanted else 0


def touch(process: Process) -> Body:
    """Files, empty when they are new."""
    found, paths = options(process, "c")
    status = 0
    for path in paths:
        what: FileStatus | None = yield Status(path)
        if what is not None or "c" in found:
            continue
        try:
            yield Close((yield Open(path, "a")))
        except CallFailed as failed:
            status = yield from complain(process, f"{path}: {failed.error}")
    return status


def cp(process: Process) -> Body:
    """One file to another, or into a directory."""
    _, paths = options(process, "fa")
    return (yield from _copy(process, paths, keep=True))


def mv(process: Process) -> Body:
    """The same, and the old one is gone."""
    _, paths = options(process, "f")
    return (yield from _copy(process, paths, keep=False))


def _copy(process: Process, paths: list[str], *, keep: bool) -> Generator[Call, Any, int]:
    if len(paths) != 2:
        raise UsageFault("one SOURCE and one DEST are supported by the simulated program")
    source, target = paths
    what: FileStatus | None = yield Status(target)
    if what is not None and what.kind == "directory":
        target = posixpath.join(target, posixpath.basename(source))
    try:
        reading = yield Open(source, "r")
    except CallFailed as failed:
        return (yield from complain(process, f"can't {'stat' if keep else 'rename'} '{source}': {failed.error}"))
    content = yield from read_all(reading)
    of_source: FileStatus | None = yield Status(source)
    # what is there keeps its mode when it is copied over
    before: FileStatus | None = (yield Status(target)) if keep else None
    mode = of_source.mode if of_source is not None and before is None else None
    try:
        writing = yield Open(target, "w")
        yield Write(writing, content)
        yield Close(writing)
        if mode is not None:
            yield ChangeMode(target, mode)
    except CallFailed as failed:
        return (yield from complain(process, f"can't create '{target}': {failed.error}"))
    if not keep:
        yield Remove(source)
    return 0


_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=][rwxXst]*)+)")
_ACTION = re.compile(r"([-+=])([rwxXst]*)")
_WHO = {"u": 0o700, "g": 0o070, "o": 0o007, "a": 0o777}
_MAY = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0, "t": 0}
# of a new process: what `+w` without a who leaves out
_UMASK = 0o022


def chmod(process: Process) -> Body:
    """Modes, as numbers or as u+x,go=r."""
    words = list(process.argv[1:])
    # a mode may begin with a dash
    while words and words[0] in ("-f", "--"):
        words.pop(0)
    if words and words[0].startswith("-R"):
        raise UsageFault("option -R is not supported by the simulated program")
    if len(words) < 2:
        raise UsageFault("missing operand")
    asked, status = words[0], 0
    if _changed(asked, 0) is None:
        raise UsageFault(f"invalid mode '{asked}'")
    for path in words[1:]:
        what: FileStatus | None = yield Status(path)
        try:
            yield ChangeMode(path, _changed(asked, what.mode if what is not None else 0) or 0)
        except CallFailed as failed:
            status = yield from complain(process, f"{path}: {failed.error}")
    return status


def _changed(asked: str, mode: int) -> int | None:
    """A mode after a change; None for a change that is none."""
    if re.fullmatch("[0-7]{1,4}", asked):
        return int(asked, 8) & 0o777
    for clause in asked.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            return None
        who = 0
        for letter in match[1]:
            who |= _WHO[letter]
        for action in _ACTION.finditer(match[2]):
            bits = 0
            for letter in action[2]:
                bits |= _MAY.get(letter, 0o111 if mode & 0o111 else 0)
            bits &= who or ~_UMASK & 0o777
            if action[1] == "=":
                mode = mode & ~(who or 0o777) | bits
            else:
                mode = mode | bits if action[1] == "+" else mode & ~bits
    return mode
