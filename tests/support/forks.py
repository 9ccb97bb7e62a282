"""Forks of a test's process, in which the garbage of earlier tests stays untouched.

A socket of nng's that a child collects aborts it, as nng knows that it was forked; and Python itself may collect in the
child before any code of ours runs there.
"""

from __future__ import annotations

import gc
import os

__all__ = ["fork"]


def fork() -> int:
    """As `os.fork`."""
    gc.collect()
    gc.disable()
    try:
        pid = os.fork()
        if pid == 0:
            gc.freeze()
    finally:
        gc.enable()
    return pid
