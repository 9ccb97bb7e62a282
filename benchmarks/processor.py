"""Processor time of processes, which holds on a machine that others use as well, where wall time does not.

For `take_turns`. Linux alone: a process's clock has an id made of its pid (clock_getcpuclockid(3)), and /proc tells its children.
"""

from __future__ import annotations

import os
import resource
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["process_seconds", "tree_seconds"]

_TICKS = os.sysconf("SC_CLK_TCK")
# of /proc/PID/stat, counted from the field after the program's name: what ended children took
_CHILDREN_USER = 13


def process_seconds(pid: int) -> float:
    """What all threads of a process have taken so far, in seconds. Raises: OSError, there is no such process."""
    return time.clock_gettime((~pid << 3) | 2)


def tree_seconds() -> float:
    """What this process and all below it have taken so far, in seconds; those that ended to the kernel's tick of 10 ms."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime
    waiting = _children(os.getpid())
    while waiting:
        pid = waiting.pop()
        with suppress(OSError):
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += process_seconds(pid) + sum(map(int, words[_CHILDREN_USER : _CHILDREN_USER + 2])) / _TICKS
            waiting += _children(pid)
    return total


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, path.read_text().split())
    return found
