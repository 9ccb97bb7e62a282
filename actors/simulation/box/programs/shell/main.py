"""The program `sh`: a script from -c, from a file, or from stdin line by line, with prompts on a terminal.

For the table of programs. Not for how commands are run: `interpreter`.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from actors.simulation.box.kernel.calls import Call, CallFailed, Close, Interrupted, Open, Read, WindowSize, Write
from actors.simulation.box.programs.common import read_all
from actors.simulation.box.programs.formatting import encoded
from actors.simulation.box.programs.lookup import find_program
from actors.simulation.box.programs.shell.builtins import BUILTINS, set_flags
from actors.simulation.box.programs.shell.commands import COMMANDS
from actors.simulation.box.programs.shell.interpreter import Shell, Tables
from actors.simulation.box.programs.shell.parser import parse
from actors.simulation.box.programs.shell.state import ExitShell, ShellFault, ShellState

if TYPE_CHECKING:
    from collections.abc import Generator

    from actors.simulation.box.kernel.calls import Body
    from actors.simulation.box.kernel.process import Process
    from actors.simulation.box.programs.shell.syntax import Script

__all__ = ["sh"]

_SCRIPT_BYTES = 1024 * 1024
_BLOCK_BYTES = 1023


def sh(process: Process) -> Body:
    """A shell."""
    state = ShellState(process.argv[0], [], process.pid, random=process.number)
    state.variables.update(process.environment)
    state.variables.setdefault("PATH", "/sbin:/usr/sbin:/bin:/usr/bin")
    state.variables |= {"PWD": process.cwd, "IFS": " \t\n", "PS1": "# ", "OPTIND": "1"}
    state.variables["PPID"] = str(process.parent.pid if process.parent is not None else 0)
    state.exported = dict.fromkeys(process.environment)
    shell = Shell(process, state, partial(find_program, process), Tables(COMMANDS, BUILTINS))
    words = list(process.argv[1:])
    command = False
    try:
        while words and words[0][:1] in "-+" and len(words[0]) > 1:
            word = words.pop(0)
            if word == "--":
                break
            command = command or (word[0] == "-" and "c" in word)
            shell.interactive = shell.interactive or (word[0] == "-" and "i" in word)
            set_flags(state.options, "".join(char for char in word if char not in "cilsm"), words)
    except ShellFault as fault:
        yield from shell.complain(fault.message)
        return 2
    if command:
        if not words:
            yield from shell.complain("-c requires an argument")
            return 2
        state.name, state.positional = words[1] if len(words) > 1 else state.name, words[2:]
        state.options["c"] = True
        return (yield from shell.run(parse(words[0]), last=True))
    if words:
        return (yield from _file(shell, words))
    return (yield from _stdin(shell))


def _file(shell: Shell, words: list[str]) -> Generator[Call, Any, int]:
    try:
        fd = yield Open(words[0], "r")
        text = yield from read_all(fd, _SCRIPT_BYTES)
    except CallFailed as failed:
        yield from shell.complain(f"can't open '{words[0]}': {failed.error}")
        return 2
    yield Close(fd)
    shell.state.name, shell.state.positional = words[0], words[1:]
    return (yield from shell.run(parse(text.decode("utf-8", "surrogateescape")), last=True))


def _stdin(shell: Shell) -> Generator[Call, Any, int]:
    """Commands as they come."""
    with suppress(CallFailed):
        yield WindowSize(0)
        shell.interactive = True
    return (yield from shell.guarded(_commands(shell)))


def _commands(shell: Shell) -> Generator[Call, Any, int]:
    lines = _Lines(shell)
    text = ""
    while True:
        if shell.interactive:
            yield Write(2, encoded("> " if text else f"{shell.process.cwd} # "))
        line = yield from lines.next()
        text += line
        script = parse(text)
        if script.fault is not None and script.fault.incomplete and line and len(text) < _SCRIPT_BYTES:
            continue
        text = ""
        yield from _run(shell, script)
        if not line:
            return shell.state.status


def _run(shell: Shell, script: Script) -> Generator[Call, Any, None]:
    for node in script.lines:
        yield from shell.execute(node)
    if script.fault is not None:
        yield from shell.complain(script.fault.message)
        if not shell.interactive:
            raise ExitShell(2)
        shell.state.status = 2


class _Lines:
    """Stdin line by line, read in blocks: as with busybox, what a command reads itself may be gone already."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._rest = b""
        self._ended = False

    def next(self) -> Generator[Call, Any, str]:
        """A line; empty at the end."""
        while b"\n" not in self._rest and not self._ended:
            try:
                data: bytes = yield Read(0, _BLOCK_BYTES, interruptible=True)
            except Interrupted:
                yield from self._shell.take_signals()
                continue
            self._rest += data
            self._ended = not data
        line, newline, self._rest = self._rest.partition(b"\n")
        return (line + newline).decode("utf-8", "surrogateescape")
