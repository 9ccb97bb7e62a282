"""What the process's exit code says; the same for every command."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Exit"]


class Exit(IntEnum):
    HELD = 0
    FAILED = 1
    # a bad file or bad usage
    USAGE = 2
    # the machine, the guest or katrio itself, not what was tried
    INFRASTRUCTURE = 3
    # nothing ran: the world lacks what the scenarios need
    ALL_SKIPPED = 4
    INTERRUPTED = 130
