"""Where a program is found: by a path, or by its name along PATH. Pure.

For the shell, for programs that run others, and for the engine. What there is to find, the container's tree knows.
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

# where the image has busybox' applets
_APPLETS = "/bin"


def find_in_tree(tree: Tree, name: str, path: str, cwd: str) -> Program | Missing:
    """As an exec finds it."""
    why = Missing.ABSENT
    for folder in [""] if "/" in name else path.split(":"):
        place = posixpath.normpath(posixpath.join(cwd, folder, name))
        program = tree.program(place)
        if program is not None:
            return program
        if tree.status(place) is not None:
            why = Missing.DENIED
    return why


def find_program(process: Process, name: str, path: str) -> Program | Missing:
    """As busybox' shell finds it: its own applets whatever PATH says."""
    tree = process.container.tree
    applet = tree.program(f"{_APPLETS}/{name}") if "/" not in name else None
    return applet or find_in_tree(tree, name, path, process.cwd)


def missing_status(why: Missing) -> int:
    """What a program that runs others ends with."""
    return 126 if why is Missing.DENIED else 127
