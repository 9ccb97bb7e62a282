"""Removes directory trees whatever their modes, depth and mounts.

For directories that katrio made and others wrote to: images, copies of roots, containers' layers. Standard library
only.

A directory is renamed into the top one before it is scanned. So no path is longer than two names, however deep a
container has nested them; and mounts within the tree are never entered, as a mount point can't be renamed.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["remove_tree"]

_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)
_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _nothing() -> None:
    """The default checkpoint."""


def remove_tree(top: Path, checkpoint: Callable[[], None] = _nothing) -> bool:
    """Remove it; whether it is gone. Symlinks are not followed. Blocking; an exception from `checkpoint` leaves it half removed."""
    with suppress(OSError):
        base = _opened(os.fspath(top), None)
        try:
            _Removal(base, checkpoint).run()
        finally:
            os.close(base)
        os.rmdir(top)
    return not os.path.lexists(top)


class _Removal:
    def __init__(self, base: int, checkpoint: Callable[[], None]) -> None:
        self._base = base
        self._checkpoint = checkpoint
        self._numbers = count(1)
        # names in the top directory of directories that are not scanned yet
        self._moved: list[str] = []
        # all names so far, as a listing of the top directory may return them again
        self._seen: set[str] = set()

    def run(self) -> None:
        self._empty(self._base)
        while self._moved:
            name = self._moved.pop()
            with suppress(OSError):
                directory = _opened(name, self._base)
                try:
                    self._empty(directory)
                finally:
                    os.close(directory)
                os.rmdir(name, dir_fd=self._base)

    def _empty(self, directory: int) -> None:
        with os.scandir(directory) as listing:
            for entry in listing:
                self._checkpoint()
                with suppress(OSError):
                    if not entry.is_dir(follow_symlinks=False):
                        os.unlink(entry.name, dir_fd=directory)
                    elif directory != self._base or entry.name not in self._seen:
                        self._move(entry.name, directory)

    def _move(self, name: str, directory: int) -> None:
        """Raises: OSError: a mount point, or not permitted."""
        while True:
            new = f".removed-{next(self._numbers)}"
            try:
                os.rename(name, new, src_dir_fd=directory, dst_dir_fd=self._base)
            except PermissionError:
                # rename must change its `..` entry
                if not _unseal(name, directory):
                    raise
            except OSError as error:
                if error.errno not in _TAKEN:
                    raise
            else:
                self._moved.append(new)
                self._seen.add(new)
                return


def _opened(name: str, parent: int | None) -> int:
    """Raises: OSError."""
    _unseal(name, parent)
    return os.open(name, os.O_RDONLY | _DIRECTORY, dir_fd=parent)


def _unseal(name: str, parent: int | None) -> bool:
    """Give the owner all permissions on a directory; whether that changed anything. Raises: OSError."""
    found = os.open(name, os.O_PATH | _DIRECTORY, dir_fd=parent)
    try:
        if os.fstat(found).st_mode & 0o700 == 0o700:
            return False
        # by descriptor: the name could be a symlink by now
        os.chmod(f"/proc/self/fd/{found}", 0o700)
    finally:
        os.close(found)
    return True
