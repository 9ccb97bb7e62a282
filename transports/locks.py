"""flock(2) locks: held until the last descriptor of the same open file description is closed, by any process."""

from __future__ import annotations

import fcntl

__all__ = ["take_lock"]


def take_lock(descriptor: int, *, shared: bool = False, wait: bool = False) -> bool:
    """Whether the lock is held now; False if another holds it and `wait` is not set. Raises: OSError."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
