"""Fault injection in the embedded world, bypassing actors, agent and guest.

For scenarios' `fault` steps. Kills only the child of a launcher that the caller itself spawned.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from actors.errors import NotFound

__all__ = ["kill_guest"]


def kill_guest(launcher: int) -> None:
    """SIGKILL a launcher's guest. Raises: NotFound, if there is none (any more)."""
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
