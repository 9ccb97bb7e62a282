"""Locks on files, which say that somebody lives: the kernel drops one when the last process that holds it is gone.

For run directories and the image store. Not for threads of one process, which trio orders.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["lock_file"]


def lock_file(path: Path, *, wait: bool, make: bool = True) -> int | None:
    """An exclusive lock; its descriptor closes on exec and is inherited by fork. None when somebody holds it.

    Raises: FileNotFoundError, when there is no such file and it is not to be made; OSError.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if make else 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
