"""The `katrio` command as a person types it, for the tests of the command line. Nothing is a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.forked_command import ROOT, forked

if TYPE_CHECKING:
    import subprocess

__all__ = ["KATRIO", "ROOT", "katrio", "written"]

KATRIO = str(Path(sys.executable).parent / "katrio")


def katrio(*words: str | Path, timeout: float = 90) -> subprocess.CompletedProcess[str]:
    """What the command does; how it starts is tested with `KATRIO`."""
    return forked([KATRIO, *map(str, words)], ROOT, timeout)


def written(directory: Path, text: str) -> str:
    """A scenario file."""
    path = directory / "scenario.yaml"
    path.write_text(text)
    return str(path)
