"""The guest's limit of open file descriptors: the kernel's hard limit, less a reserve for cleaning up.

Anything new is subject to the soft limit and refused there; cleaning up (a kill, a delete) may use
the reserve above it, so that a full guest can still be emptied. Containers get the limit that the guest
was started with. A container's own limits are in `rlimits`.
"""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["Descriptors"]

# a kill needs some 3 at once, a runtime's delete 10; several may overlap
_RESERVE = 64
# of a small limit, at most half is reserved
_LEAST_SHARE = 2


class Descriptors:
    """Raises this process's soft limit; `inherited` is the one it was started with."""

    def __init__(self) -> None:
        self.inherited, self._hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = max(self._hard - _RESERVE, self._hard // _LEAST_SHARE)
        self._lent = 0
        self._set(self._most)

    def as_started(self, argv: list[str]) -> list[str]:
        """A command line that runs `argv` with the soft limit that this process was started with."""
        return ["/bin/sh", "-c", f'ulimit -S -n {self.inherited} && exec "$@"', "sh", *argv]

    @contextmanager
    def reserve(self) -> Generator[None]:
        """Allow use of the reserve, around code that cleans up."""
        self._lent += 1
        self._set(self._hard)
        try:
            yield
        finally:
            self._lent -= 1
            if not self._lent:
                self._set(self._most)

    def _set(self, soft: int) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, self._hard))
