"""What runs out in a process of ours, told as such: descriptors, memory, processes, disk.

For guest and host, around what makes something new, and for every look at the machine: one that could not be made has
seen nothing, and must not be taken for "not there". Not for limits of a container: those are its own to meet.
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
    """Whether something ran out, and the same call may go well later."""
    return error.errno in _ERRORS


def raise_if_exhausted(error: OSError) -> None:
    """In place of an answer that a look, which could not be made, can't give. Raises: OSError, the same."""
    if is_exhaustion(error):
        raise error


@contextmanager
def told_when_exhausted(what: str) -> Generator[None]:
    """Raises: ResourceExhausted for an OSError that says so; others pass."""
    try:
        yield
    except OSError as error:
        if not is_exhaustion(error):
            raise
        reason = os.strerror(error.errno or 0)
        raise ResourceExhausted(f"{what}: there is no more of it ({reason}); end or remove something first") from error
