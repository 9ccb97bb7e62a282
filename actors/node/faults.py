"""Breaking parts of the embedded world on purpose, past actors, agent and guest.

For scenarios' `fault` steps. Kills nothing but the one child of a launcher that the caller itself has spawned.
Not for orderly ends: a launcher ends its guest when its lifeline closes.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from actors.errors import NotFound

__all__ = ["kill_guest"]


def kill_guest(launcher: int) -> None:
    """SIGKILL to the guest that a launcher has started. Raises: NotFound, when there is none (any more)."""
    try:
        words = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    except OSError:
        words = []
    if not words:
        raise NotFound(f"fault kill_guest: the launcher {launcher} has no guest")
    try:
        os.kill(int(words[0]), signal.SIGKILL)
    except ProcessLookupError:
        raise NotFound(f"fault kill_guest: the guest of launcher {launcher} has ended already") from None
