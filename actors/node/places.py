"""katrio's own directories on this machine: where they are, and whether only we can change them.

One rule for run roots, the image store and copies of roots: their content is trusted later, so nobody else may write
to them, or replace them. That holds for each parent directory as well. Standard library only.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from actors.errors import PermissionDenied

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OWN_ADVICE", "check_own", "default_place", "make_directories", "make_own", "untrusted_reason"]

OWN_ADVICE = "name a directory of your own in XDG_CACHE_HOME"

# the kernel's own limit of symlinks in a path (path_resolution(7))
_LINKS = 40


def default_place(environment: Mapping[str, str], uid: int, name: str) -> Path:
    """`/var/lib/katrio/NAME` for root; else below `$XDG_CACHE_HOME` or `~/.cache`, or `/tmp/katrio-UID` without a home."""
    if uid == 0:
        return Path("/var/lib/katrio", name)
    # relative paths are ignored, as the XDG base directory specification requires
    for variable, below in (("XDG_CACHE_HOME", ""), ("HOME", ".cache")):
        found = Path(environment.get(variable, ""))
        if found.is_absolute():
            return found / below / "katrio" / name
    return Path(f"/tmp/katrio-{uid}/.cache/katrio", name)


def untrusted_reason(path: Path, *, private: bool = False, given: Path | None = None) -> str:
    """Who else could write to or replace `path`, as a clause; empty if nobody, or if it does not exist.

    Args:
        path: absolute.
        private: nobody else may read it either, and it may be no symlink.
        given: a parent directory named by the caller: it and its own parents are the caller's responsibility.
    """
    here = Path("/") if given is None else Path(os.path.realpath(given))
    todo = list(reversed(path.parts[1:] if given is None else path.relative_to(given).parts))
    links = 0
    while todo:
        part = todo.pop()
        below = here.parent if part == ".." else here / part
        try:
            found = below.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return ""
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _LINKS or found.st_uid not in _trusted() or (private and not todo):
                return f"{below} is a link of uid {found.st_uid}"
            target = Path(os.readlink(below))
            here = Path("/") if target.is_absolute() else here
            todo += reversed(target.parts[1:] if target.is_absolute() else target.parts)
            continue
        here = below
        why = _parent_fault(found) if todo else _own_fault(found, private=private)
        if why:
            return f"{below} {why}"
    return ""


def check_own(path: Path, what: str, advice: str, *, field: str | None = None, given: Path | None = None) -> None:
    """Raises: PermissionDenied, see `untrusted_reason`; OSError, if it can't be determined."""
    why = untrusted_reason(path, given=given)
    if why:
        message = f"{what} {path}: others may write it: {why}; {advice}"
        raise PermissionDenied(message) if field is None else PermissionDenied(message, field=field)


def make_own(
    path: Path, mode: int, what: str, advice: str, *, field: str | None = None, given: Path | None = None
) -> None:
    """Create it and its parents if missing. Raises: as `check_own`; OSError."""
    # checked before too: create nothing in a foreign directory
    check_own(path, what, advice, field=field, given=given)
    make_directories(path, mode)
    check_own(path, what, advice, field=field, given=given)


def make_directories(path: Path, mode: int) -> None:
    """Create missing directories, not writable by others, whatever the umask. Raises: OSError."""
    for each in reversed((path, *path.parents)):
        if not os.path.lexists(each):
            with suppress(FileExistsError):
                each.mkdir(mode=mode if each == path else 0o755)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))


def _trusted() -> frozenset[int]:
    """Users who may own parents of our directories: root and ourselves."""
    return frozenset({0, os.geteuid()}) | _unmapped()


def _unmapped() -> frozenset[int]:
    """In a user namespace that does not map it, the outer root appears as the kernel's overflow uid."""
    with suppress(OSError, ValueError):
        overflow = int(Path("/proc/sys/kernel/overflowuid").read_text())
        ranges = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
        if not any(first <= overflow < first + size for first, _, size in ranges):
            return frozenset({overflow})
    return frozenset()


def _parent_fault(found: os.stat_result) -> str:
    """What is wrong with a parent directory."""
    if found.st_uid not in _trusted():
        return f"is of uid {found.st_uid}"
    # in a sticky directory others can create files, but not rename ours
    if found.st_mode & stat.S_ISVTX:
        return ""
    # a user's primary group usually has only that member
    grouped = found.st_mode & 0o020 and found.st_gid not in (0, os.getegid())
    return f"has mode {stat.S_IMODE(found.st_mode):04o}" if found.st_mode & 0o002 or grouped else ""


def _own_fault(found: os.stat_result, *, private: bool) -> str:
    """What is wrong with the directory itself."""
    if not stat.S_ISDIR(found.st_mode):
        return "is no directory"
    if found.st_uid != os.geteuid():
        return f"is of uid {found.st_uid}"
    return f"has mode {stat.S_IMODE(found.st_mode):04o}" if found.st_mode & (0o077 if private else 0o022) else ""
