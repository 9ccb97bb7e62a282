"""Locks on files and directories as signs of life: the kernel releases one when the last process that holds it has exited.

For run directories, the image store and copies of roots.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from transports.locks import take_lock

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["lock_directory", "lock_file"]


def lock_file(path: Path, *, wait: bool, make: bool = True) -> int | None:
    """Take an exclusive lock; its descriptor closes on exec and is inherited by fork. None if another holds it.

    Raises: FileNotFoundError, if the file is missing and `make` is False; OSError.
    """
    return _locked(path, os.O_RDWR | (os.O_CREAT if make else 0), shared=False, wait=wait)


def lock_directory(path: Path, *, shared: bool = False) -> int | None:
    """The same for an existing directory; None if another holds it. Not safe against replacement of the directory.

    Raises: FileNotFoundError if it is gone, even if only just before it was locked; OSError.
    """
    descriptor = _locked(path, os.O_RDONLY | os.O_DIRECTORY, shared=shared, wait=False)
    if descriptor is not None:
        try:
            os.stat(path)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def _locked(path: Path, flags: int, *, shared: bool, wait: bool) -> int | None:
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if take_lock(descriptor, shared=shared, wait=wait):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
