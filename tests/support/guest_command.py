"""`katrio guest` as a child of a test."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.support.command_line import KATRIO

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["served"]


@contextmanager
def served(*words: str) -> Generator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A guest, and the line that it said when it was ready."""
    with subprocess.Popen([KATRIO, "guest", "--json", *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(60)
