"""Forks of a test's process, in which the garbage of earlier tests stays untouched.

A socket of nng's that a child collects aborts it, as nng knows that it was forked; and Python itself may collect in the
child before any code of ours runs there.
"""

from __future__ import annotations

import gc
import os
import tempfile
import traceback
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["fork", "run_in_a_fork"]


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


def run_in_a_fork(body: Callable[[], object]) -> None:
    """In a process of its own, whose namespaces and working directory it may change; fails as it fails."""
    with tempfile.TemporaryFile() as failure:
        pid = fork()
        if pid == 0:
            code = 1
            try:
                body()
                code = 0
            except BaseException:
                os.write(failure.fileno(), traceback.format_exc().encode())
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        if status != 0:
            failure.seek(0)
            pytest.fail(failure.read().decode() or f"the process ended with {status}", pytrace=False)
