"""Finds a program: by path, or by name in PATH; a script is run by the interpreter of its #! line. Pure.

For the shell, for programs that run others, and for the engine. The container's tree is searched.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from actors.simulation.box.programs.shell.state import Missing

if TYPE_CHECKING:
    from actors.simulation.box.kernel.calls import Body, Program
    from actors.simulation.box.kernel.process import Process
    from actors.simulation.box.kernel.tree import Tree

__all__ = ["find_in_tree", "find_program", "interpreter_of", "missing_status"]

# where the image has busybox' applets
_APPLETS = "/bin"
# the kernel's own bounds: bytes of a first line, interpreters of interpreters
_HEAD, _DEPTH = 256, 5


def find_in_tree(tree: Tree, name: str, path: str, cwd: str, *, by_kernel: bool = False) -> Program | Missing:
    """As a shell finds it, which runs itself what the kernel has no format for, and looks on for what has no interpreter; or as
    an exec does, `by_kernel`: the first that may be run decides."""
    why = Missing.ABSENT
    for folder in [""] if "/" in name else path.split(":"):
        place = posixpath.normpath(posixpath.join(cwd, folder, name))
        program = tree.program(place)
        if program is not None:
            return program
        if (status := tree.status(place)) is not None:
            if not status.executable:
                why = Missing.DENIED
                continue
            script = _script(tree, place, name, cwd, _DEPTH, by_kernel=by_kernel)
            if by_kernel or not isinstance(script, Missing):
                return script
    return why


def interpreter_of(tree: Tree, path: str) -> list[str] | None:
    """What the first line of a script names: a program, and perhaps one argument. None: it names none."""
    head = tree.text(path)[:_HEAD]
    return head[2:].partition("\n")[0].strip().split(maxsplit=1) if head.startswith("#!") else None


def _script(tree: Tree, place: str, called: str, cwd: str, depth: int, *, by_kernel: bool) -> Program | Missing:
    """A file that may be run, as a program: its interpreter in its place; without one a shell, as those who are refused by the
    kernel then try."""
    words = interpreter_of(tree, place)
    if words is None:
        if by_kernel:
            return Missing.FORMAT
        words = [f"{_APPLETS}/sh"]
    path = posixpath.normpath(posixpath.join(cwd, words[0])) if words else ""
    program: Program | Missing | None = tree.program(path)
    if program is None and depth and (status := tree.status(path)) is not None and status.executable:
        program = _script(tree, path, words[0], cwd, depth - 1, by_kernel=by_kernel)
    if program is None:
        return Missing.ABSENT
    if isinstance(program, Missing):
        return program
    interpreter = program

    def run(process: Process) -> Body:
        process.argv = (*words, called, *process.argv[1:])
        return interpreter(process)

    return run


def find_program(process: Process, name: str, path: str) -> Program | Missing:
    """As busybox' shell finds it: its own applets whatever PATH says."""
    tree = process.container.tree
    applet = tree.program(f"{_APPLETS}/{name}") if "/" not in name else None
    return applet or find_in_tree(tree, name, path, process.cwd)


def missing_status(why: Missing) -> int:
    """What a program that runs others ends with."""
    return 126 if why is Missing.DENIED else 127
