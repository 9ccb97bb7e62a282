"""Locks on files and directories, which say that somebody lives: the kernel drops one when the last process that holds it is gone.

For run directories, the image store and copies of roots. Not for threads of one process, which trio orders.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from transports.locks import take_lock

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["lock_directory", "lock_file"]


def lock_file(path: Path, *, wait: bool, make: bool = True) -> int | None:
    """An exclusive lock; its descriptor closes on exec and is inherited by fork. None when somebody holds it.

    Raises: FileNotFoundError, when there is no such file and it is not to be made; OSError.
    """
    return _locked(path, os.O_RDWR | (os.O_CREAT if make else 0), shared=False, wait=wait)


def lock_directory(path: Path, *, shared: bool = False) -> int | None:
    """The same of a directory that is there; None when somebody holds it. Not for one that another may have put in its place.

    Raises: FileNotFoundError when it is gone, were it just before it was locked; OSError.
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
