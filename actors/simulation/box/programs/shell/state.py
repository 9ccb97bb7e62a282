"""The state of one shell: variables, functions, options, traps; and the exceptions for `break`, `return` and `exit`.

For the interpreter and its builtins. Data alone.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.simulation.box.programs.shell.syntax import Node

__all__ = [
    "SIGNALS",
    "Break",
    "Continue",
    "ExitShell",
    "Missing",
    "Return",
    "ShellFault",
    "ShellState",
    "signal_number",
    "to_number",
]

SIGNALS = {each.name.removeprefix("SIG"): int(each) for each in signal.Signals} | {"EXIT": 0}


class Break(Exception):
    """`break`, out of n loops."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels


class Continue(Break):
    """`continue`, of the n-th enclosing loop."""


class Return(Exception):
    """`return`."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


class ExitShell(Return):
    """`exit`, or what makes a shell end."""


class ShellFault(Exception):
    """A command can't be run as it stands: said on stderr; `fatal` ends the shell, as POSIX has it for expansions."""

    def __init__(self, message: str, status: int = 2, *, fatal: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.fatal = fatal


class Missing(Enum):
    """Why a program can't be run, as the shell reports it."""

    ABSENT = "not found"
    DENIED = "Permission denied"
    # what a shell takes for a script of its own
    FORMAT = "Exec format error"


@dataclass(slots=True)
class ShellState:
    """A subshell begins with a copy."""

    name: str
    positional: list[str]
    # $$: the process of the shell itself, also in its subshells
    pid: int
    variables: dict[str, str] = field(default_factory=dict[str, str])
    exported: dict[str, None] = field(default_factory=dict[str, None])
    constants: dict[str, None] = field(default_factory=dict[str, None])
    functions: dict[str, Node] = field(default_factory=dict[str, "Node"])
    # number -> action, "" to ignore; 0 is the shell's end
    traps: dict[int, str] = field(default_factory=dict[int, str])
    options: dict[str, bool] = field(default_factory=dict[str, bool])
    status: int = 0
    background: int = 0
    random: int = 0
    mask: int = 0o022

    def copy(self) -> ShellState:
        """For a subshell: traps are its parent's, but for what is ignored."""
        return replace(
            self,
            positional=list(self.positional),
            variables=dict(self.variables),
            exported=dict(self.exported),
            constants=dict(self.constants),
            functions=dict(self.functions),
            traps={number: action for number, action in self.traps.items() if not action},
            options=dict(self.options),
        )

    def set(self, name: str, value: str) -> None:
        """Raises: ShellFault for a constant."""
        if name in self.constants:
            raise ShellFault(f"{name}: is read only")
        self.variables[name] = value
        if self.options.get("a"):
            self.exported[name] = None

    def put_back(self, before: Mapping[str, str | None]) -> None:
        """Variables as they were; None is for one that was not there."""
        for name, value in before.items():
            if value is None:
                self.variables.pop(name, None)
            else:
                self.variables[name] = value

    def environment(self) -> dict[str, str]:
        """What a program gets."""
        return {name: self.variables[name] for name in self.exported if name in self.variables}


def to_number(name: str, text: str, *, fatal: bool = True) -> int:
    """An argument of a builtin. Raises: ShellFault."""
    if not (text.isascii() and text.isdecimal()):
        raise ShellFault(f"{name}: line 0: Illegal number: {text}", fatal=fatal)
    return int(text)


def signal_number(text: str) -> int | None:
    """`TERM`, `SIGTERM`, `15`; None for what is no signal."""
    if text.isascii() and text.isdecimal():
        return int(text) if int(text) <= 64 else None
    return SIGNALS.get(text.upper().removeprefix("SIG"))
