"""Exit codes as all of our callers know them, from agents that tell them in another way.

For the kata agent. Kata's agents in Rust told N for a process that signal N ended, until kata-containers #13241 made
it 128 + N as everywhere else. Told by such an agent, N may as well be what the process chose to exit with; it is taken
for a signal only where no process could have chosen: it was SIGKILL, and we had sent it. Not for other words of an agent.
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
# the agents of 1.x are Go's, and 4.1 is known to have the change; where in between it came in does not matter, as
# one that tells 128 + N never tells a bare 9 for what SIGKILL ended
_FIRST_IN_RUST = (2, 0)
_SIGNALS_TOLD_SINCE = (4, 1)
_SIGNAL_BASE = 128


class ExitCodes:
    """What one agent, of the version that it says, tells of ends."""

    def __init__(self) -> None:
        self._bare = False
        self._killed: dict[str, dict[str | None, None]] = {}

    def told_by(self, version: str) -> None:
        """Which agent it is; a version that is no release's is trusted with 128 + N."""
        found = _RELEASE.match(version)
        release = (int(found[1]), int(found[2])) if found else None
        self._bare = release is not None and _FIRST_IN_RUST <= release < _SIGNALS_TOLD_SINCE

    @contextmanager
    def killing(self, container: str, process: str | None) -> Generator[None]:
        """SIGKILL is being sent to it, or with None to all of the container; what was refused has killed nobody."""
        if not self._bare:
            yield
            return
        killed = self._killed.setdefault(container, {})
        before = process in killed
        # noted before it is sent: the answer to a wait may overtake the answer to this
        killed[process] = None
        try:
            yield
        except BaseException:
            if not before:
                killed.pop(process, None)
            raise

    def forget(self, container: str) -> None:
        """It is removed; its id may come again."""
        self._killed.pop(container, None)

    def code(self, container: str, process: str, told: int) -> int:
        """The code that everybody means, for what the agent told of a process's end."""
        killed = self._killed.get(container, {})
        if told == signal.SIGKILL and (process in killed or None in killed):
            return _SIGNAL_BASE + told
        return told
