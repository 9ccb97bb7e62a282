"""Detects exhausted resources of our own processes: file descriptors, memory, processes, disk.

Used in guest and host, around whatever creates something, and around every inspection of the machine: one that failed
has seen nothing, and must not be taken for "not there". Container limits are reported separately.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from actors.errors import ResourceExhausted

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["is_exhaustion", "raise_if_exhausted", "told_when_exhausted"]

_ERRORS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC, errno.EDQUOT)


def is_exhaustion(error: OSError) -> bool:
    """Whether a resource ran out, so that the same call may succeed later."""
    return error.errno in _ERRORS


def raise_if_exhausted(error: OSError) -> None:
    """Raises: the same OSError if a resource ran out, so that a failed inspection yields no wrong answer."""
    if is_exhaustion(error):
        raise error


@contextmanager
def told_when_exhausted(what: str) -> Generator[None]:
    """Raises: ResourceExhausted for an OSError of exhaustion; others pass."""
    try:
        yield
    except OSError as error:
        if not is_exhaustion(error):
            raise
        reason = os.strerror(error.errno or 0)
        raise ResourceExhausted(f"{what}: there is no more of it ({reason}); end or remove something first") from error
