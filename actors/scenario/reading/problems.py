"""What is wrong with a scenario file, and where: one typed error for people and programs.

For the loader, which raises it, and the command line, which prints it. Not for what goes wrong while
a scenario runs: events and results have that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from transports.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Problem", "ScenarioError"]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of a file. `line` and `column` count from 1; 0 when the file as a whole is meant."""

    file: str
    line: int = 0
    column: int = 0
    # the path of the field, such as `steps[2].expect.exit`; empty for the whole file
    field: str = ""
    found: str
    expected: str
    # the right name that is most like the one found
    nearest: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        field = f"{self.field}: " if self.field else ""
        hint = f"; did you mean {self.nearest}?" if self.nearest else ""
        return printable(f"{place}: {field}found {self.found}, expected {self.expected}{hint}")


class ScenarioError(Exception):
    """A file is no scenario. `problems` has at least one fault, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
