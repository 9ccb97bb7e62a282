"""Normalises exit codes of agents that report death by a signal differently.

Kata's Rust agents reported N for a process that signal N killed, until kata-containers #13241 made
it 128 + N as everywhere else. From such an agent, N may also be the process's own exit code; it is taken
for a signal only where that is certain: SIGKILL, which we had sent.
"""

from __future__ import annotations

import re
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["ExitCodes"]

_RELEASE = re.compile(r"(\d{1,4})\.(\d{1,4})\b")
# 1.x agents are Go, and 4.1 is known to have the change; the exact version in between does not matter, as
# an agent that reports 128 + N never reports a bare 9 for SIGKILL
_FIRST_IN_RUST = (2, 0)
_SIGNALS_TOLD_SINCE = (4, 1)
_SIGNAL_BASE = 128


class ExitCodes:
    """Exit codes as one agent, of a given version, reports them."""

    def __init__(self) -> None:
        self._bare = False
        self._killed: dict[str, dict[str | None, None]] = {}

    def told_by(self, version: str) -> None:
        """Set the agent's version; one that is no release is assumed to report 128 + N."""
        found = _RELEASE.match(version)
        release = (int(found[1]), int(found[2])) if found else None
        self._bare = release is not None and _FIRST_IN_RUST <= release < _SIGNALS_TOLD_SINCE

    @contextmanager
    def killing(self, container: str, process: str | None) -> Generator[None]:
        """Within the block SIGKILL is sent to it, or with None to the whole container; a refused one does not count."""
        if not self._bare:
            yield
            return
        killed = self._killed.setdefault(container, {})
        before = process in killed
        # recorded before it is sent: a wait's answer may arrive before this one's
        killed[process] = None
        try:
            yield
        except BaseException:
            if not before:
                killed.pop(process, None)
            raise

    def forget(self, container: str) -> None:
        """The container is removed; its id may be reused."""
        self._killed.pop(container, None)

    def code(self, container: str, process: str, told: int) -> int:
        """The usual exit code for the one that the agent reported."""
        killed = self._killed.get(container, {})
        if told == signal.SIGKILL and (process in killed or None in killed):
            return _SIGNAL_BASE + told
        return told
