"""The files that reports of one command are written to: made sure of before the work, told of at its end.

For commands. Not for writing one (`actors.reporting.files`, `streams`), nor for what a report says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from actors.cli.exits import unwritten
from actors.cli.say import tell_unwritten
from actors.cli.streams import file_output
from actors.reporting.files import WholeFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TextIO

    from actors.cli.streams import Output

__all__ = ["ReportFiles"]

R = TypeVar("R")


class ReportFiles:
    """The files that one command writes; each report closes its own."""

    def __init__(self) -> None:
        self._files: list[tuple[Path, Output | WholeFile]] = []

    def grow(self, path: Path) -> Output:
        """One that is written as the work goes on. Raises: OSError."""
        file = file_output(path)
        self._files.append((path, file))
        return file

    def whole(self, path: Path | None, make: Callable[[TextIO], R]) -> list[R]:
        """A report that replaces what is there when it is closed, or leaves it as it was; none without a path. Raises: OSError."""
        if path is None:
            return []
        file = WholeFile(path)
        self._files.append((path, file))
        return [make(file)]

    def settle(self, code: int) -> int:
        """Say which could not be written; the exit code, which tells."""
        lost = [(path, file.lost) for path, file in self._files if file.lost is not None]
        for path, error in lost:
            tell_unwritten(path, error)
        return unwritten(code) if lost else code
