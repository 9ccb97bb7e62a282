"""Fingerprints of directory trees, and whether one is mounted.

For the image store. Removal is in `removal`.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Print", "is_mounted", "print_of"]

_NOT_OURS_OR_GONE = (PermissionError, FileNotFoundError, NotADirectoryError)
# mountinfo escapes blanks as \040; our own names have none
_MOUNT_ROOT = 3


class Print(Struct, frozen=True):
    """A tree's fingerprint: number of entries, total file size, and a digest over each entry's metadata.

    Metadata are name, mode, owner, size, mtime and ctime (which nobody can set): so written, replaced, added or removed
    files are detected without reading any.
    """

    entries: int
    size: int
    digest: str


def print_of(top: Path, checkpoint: Callable[[], None], most: int | None = None) -> Print:
    """The fingerprint of the tree below `top`, up to `most` entries.

    An unreadable directory counts without its content. Raises: OSError, if it can't be examined.
    """
    digest = hashlib.sha256()
    entries = size = 0

    def add(name: bytes, found: os.stat_result) -> None:
        # a directory's size depends on the file system
        size = 0 if stat.S_ISDIR(found.st_mode) else found.st_size
        facts = (found.st_mode, found.st_uid, found.st_gid, size, found.st_mtime_ns, found.st_ctime_ns)
        digest.update(b"%d %d %d %d %d %d %d " % (len(name), *facts) + name)

    base = os.fsencode(top)
    add(b"", os.lstat(base))
    todo = [base]
    while todo:
        checkpoint()
        directory = todo.pop()
        try:
            with os.scandir(directory) as listing:
                children = sorted(listing, key=lambda child: child.name)
        except _NOT_OURS_OR_GONE:
            continue
        for child in children:
            try:
                found = child.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            entries += 1
            # divided among a file's hard links
            size += found.st_size // found.st_nlink if stat.S_ISREG(found.st_mode) else 0
            add(child.path[len(base) :], found)
            if child.is_dir(follow_symlinks=False):
                todo.append(child.path)
        if most is not None and entries > most:
            break
    return Print(entries, size, digest.hexdigest())


def is_mounted(name: str) -> bool:
    """Whether any process has a mount of something below a directory of that (unique) name."""
    wanted, seen = os.fsencode(name), set[str]()
    for process in os.listdir("/proc"):
        if not process.isdigit():
            continue
        with suppress(OSError):
            space = os.readlink(f"/proc/{process}/ns/mnt")
            if space in seen:
                continue
            with open(f"/proc/{process}/mountinfo", "rb") as file:
                if any(wanted in line.split(b" ", _MOUNT_ROOT + 1)[_MOUNT_ROOT].split(b"/") for line in file):
                    return True
            seen.add(space)
    return False
