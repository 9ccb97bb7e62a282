"""The `katrio` command as a person types it, for the tests of the command line. Nothing is a terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["KATRIO", "ROOT", "katrio", "written"]

KATRIO = str(Path(sys.executable).parent / "katrio")
ROOT = Path(__file__).resolve().parents[2]


def katrio(*words: str | Path, timeout: float = 90) -> subprocess.CompletedProcess[str]:
    """Run it."""
    return subprocess.run(
        [KATRIO, *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def written(directory: Path, text: str) -> str:
    """A scenario file."""
    path = directory / "scenario.yaml"
    path.write_text(text)
    return str(path)
