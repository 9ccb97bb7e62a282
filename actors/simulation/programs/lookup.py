"""Where a program is found: by a path, or by its name along PATH. Pure.

For the shell, for programs that run others, and for the engine. The table of programs is looked at late, since the
programs in it look others up themselves.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from actors.simulation.programs.shell.state import Missing

if TYPE_CHECKING:
    from actors.simulation.kernel.calls import Program
    from actors.simulation.kernel.process import Process
    from actors.simulation.kernel.tree import Tree

__all__ = ["find_in_tree", "find_program", "missing_status"]


def find_in_tree(tree: Tree, name: str, path: str, cwd: str) -> Program | Missing:
    """As an exec finds it."""
    folders = [""] if "/" in name else path.split(":")
    why = Missing.ABSENT
    for folder in folders:
        place = posixpath.normpath(posixpath.join(cwd, folder, name))
        if tree.is_program(place):
            return _program(posixpath.basename(place))
        if tree.status(place) is not None:
            why = Missing.DENIED
    return why


def find_program(process: Process, name: str, path: str) -> Program | Missing:
    """As busybox' shell finds it: its own applets whatever PATH says."""
    if "/" not in name and name in _names():
        return _program(name)
    return find_in_tree(process.container.tree, name, path, process.cwd)


def missing_status(why: Missing) -> int:
    """What a program that runs others ends with."""
    return 126 if why is Missing.DENIED else 127


def _program(name: str) -> Program:
    from actors.simulation.programs.table import PROGRAMS

    return PROGRAMS[name].run


def _names() -> frozenset[str]:
    from actors.simulation.programs.table import PROGRAM_NAMES

    return PROGRAM_NAMES
