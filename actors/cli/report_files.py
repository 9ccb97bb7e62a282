"""The files that one command writes: made sure of before the work, told of at its end.

For commands. Not for what is in one, nor for how it is written (`actors.reporting.files`, `streams`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.cli.exits import unwritten
from actors.cli.say import report_unwritten
from actors.cli.streams import file_output
from actors.reporting.files import ReportFiles

if TYPE_CHECKING:
    from pathlib import Path

    from actors.cli.streams import Output

__all__ = ["CommandFiles"]


class CommandFiles(ReportFiles):
    """Those that grow, beside those that are written at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._growing: list[tuple[Path, Output]] = []

    def grow(self, path: Path) -> Output:
        """One that is written as the work goes on; whoever writes it closes it. Raises: OSError."""
        file = file_output(path)
        self._growing.append((path, file))
        return file

    def settle(self, code: int) -> int:
        """Write what waits, and say what could not be written; the exit code, which tells."""
        self.write()
        lost = [*self.lost, *((path, file.lost) for path, file in self._growing if file.lost is not None)]
        for path, error in lost:
            report_unwritten(path, error)
        return unwritten(code) if lost else code
