"""The builtins about processes and signals: wait, kill, trap.

For the table in `builtins`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from actors.simulation.box.kernel.calls import CallFailed, Disposition, Handle, Interrupted, Kill, Wait
from actors.simulation.box.programs.formatting import encoded
from actors.simulation.box.programs.shell.state import SIGNALS, ShellFault, signal_number, to_number

if TYPE_CHECKING:
    from collections.abc import Generator

    from actors.simulation.box.kernel.calls import Call
    from actors.simulation.box.programs.shell.interpreter import Shell

__all__ = ["kill_command", "trap_command", "wait_command"]

Status: TypeAlias = "Generator[Call, Any, int]"

_NAMES = {number: name for name, number in SIGNALS.items()}


def wait_command(shell: Shell, words: list[str]) -> Status:
    """Children by number, or all; a signal with a trap ends it early."""
    status = 0
    for word in words[1:] or [""]:
        pid = to_number("wait", word.lstrip("%"), fatal=False) if word else None
        try:
            if pid is None:
                yield Wait(None, interruptible=True)
            else:
                status = yield from shell.wait_for(pid, interruptible=True)
        except Interrupted:
            signum = shell.process.caught[0]
            yield from shell.take_signals()
            return 128 + signum
        except CallFailed:
            status = 127
    return status


def kill_command(shell: Shell, words: list[str]) -> Status:
    """A signal to processes by number; -l names signals."""
    arguments = words[1:]
    signum = SIGNALS["TERM"]
    if arguments[:1] == ["-l"]:
        if len(arguments) > 1:
            found = signal_number(arguments[1])
            other = _NAMES.get(found or 0, found) if arguments[1].isdecimal() else found
            return (yield from shell.say(encoded(f"{other}\n")))
        listed = sorted((number, name) for name, number in SIGNALS.items() if 0 < number < 32)
        return (yield from shell.say(encoded("".join(f"{n:2}) {name}\n" for n, name in listed))))
    if arguments[:1] == ["-s"]:
        arguments = [f"-{arguments[1] if len(arguments) > 1 else ''}", *arguments[2:]]
    if arguments and arguments[0].startswith("-") and arguments[0] != "--" and len(arguments[0]) > 1:
        named = signal_number(arguments[0][1:])
        if named is None:
            yield from shell.complain(f"bad signal name '{arguments[0][1:]}'")
            return 1
        signum, arguments = named, arguments[1:]
    arguments = arguments[1:] if arguments[:1] == ["--"] else arguments
    if not arguments:
        yield from shell.complain("you need to specify whom to kill")
        return 1
    status = 0
    for word in arguments:
        negative = word.startswith("-")
        if not word.removeprefix("-").isdecimal():
            yield from shell.complain(f"invalid number '{word}'")
            status = 1
            continue
        pid = int(word)
        if (negative and pid != -1) or pid == 0:
            raise ShellFault("kill of a process group is not supported in a simulated shell", fatal=False)
        try:
            yield Kill(pid, signum)
        except CallFailed as failed:
            yield from shell.complain(f"can't kill pid {pid}: {failed.error}")
            status = 1
    return status


def trap_command(shell: Shell, words: list[str]) -> Status:
    """What to do on signals, and at the shell's end."""
    traps = shell.state.traps
    arguments = words[2:] if words[1:2] == ["--"] else words[1:]
    if not arguments:
        lines = [
            f"trap -- {_quoted(action)} {_NAMES.get(number, number)}\n" for number, action in sorted(traps.items())
        ]
        return (yield from shell.say(encoded("".join(lines))))
    action: str | None = None
    if arguments[0] == "-":
        arguments = arguments[1:]
    elif len(arguments) > 1 and not arguments[0].isdecimal():
        action, arguments = arguments[0], arguments[1:]
    status = 0
    for word in arguments:
        signum = signal_number(word)
        if signum is None:
            yield from shell.complain(f"trap: line 0: {word}: invalid signal specification")
            status = 1
            continue
        if action is None:
            traps.pop(signum, None)
        else:
            traps[signum] = action
        if signum:
            yield Handle(signum, None if action is None else Disposition.CATCH if action else Disposition.IGNORE)
    return status


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
