"""The kernel's locks on open files (flock(2)): one holds until the last descriptor that shares it is closed, by whomever.

Not for threads of one process, which trio orders.
"""

from __future__ import annotations

import fcntl

__all__ = ["take_lock"]


def take_lock(descriptor: int, *, shared: bool = False, wait: bool = False) -> bool:
    """Whether it is held now; False when somebody else holds it, and is not waited for. Raises: OSError."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
