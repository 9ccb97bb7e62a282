"""What runs out in a guest, told as such: descriptors, memory, processes, disk.

For the real engines, around what makes something new. Not for limits of a container: those are its own to meet.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from actors.errors import ResourceExhausted

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["is_exhaustion", "told_when_exhausted"]

_ERRORS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC, errno.EDQUOT)


def is_exhaustion(error: OSError) -> bool:
    """Whether something ran out, and the same call may go well later."""
    return error.errno in _ERRORS


@contextmanager
def told_when_exhausted(what: str) -> Generator[None]:
    """Raises: ResourceExhausted for an OSError that says so; others pass."""
    try:
        yield
    except OSError as error:
        if not is_exhaustion(error):
            raise
        reason = os.strerror(error.errno or 0)
        raise ResourceExhausted(f"{what}: the guest has no more of it ({reason}); remove something first") from error
