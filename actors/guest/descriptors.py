"""How many descriptors the guest may have open: all that the kernel lets it, less a reserve for ending things.

For the engines. What makes something new meets the soft limit and is refused; what ends something (a kill, a delete) is
lent the reserve above it, so that a guest that is full can still be emptied. Containers get the limit that the guest
itself was started with. Not for a container's own limits (`rlimits`).
"""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["Descriptors"]

# a kill needs some 3 at once, a runtime's delete 10; calls that overlap may each be lent some
_RESERVE = 64
# of a limit that is no larger, no more than a half is kept back
_LEAST_SHARE = 2


class Descriptors:
    """The soft limit of this process, changed from now on; `inherited` is the one that it was started with."""

    def __init__(self) -> None:
        self.inherited, self._hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = max(self._hard - _RESERVE, self._hard // _LEAST_SHARE)
        self._lent = 0
        self._set(self._most)

    def as_started(self, argv: list[str]) -> list[str]:
        """The command line that runs `argv` with the soft limit that this process was started with."""
        return ["/bin/sh", "-c", f'ulimit -S -n {self.inherited} && exec "$@"', "sh", *argv]

    @contextmanager
    def reserve(self) -> Generator[None]:
        """Around what ends something."""
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
