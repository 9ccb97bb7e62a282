"""The shell's builtins: one function for each, in one table.

For the interpreter. Each gets the shell and all words of its command, and yields system calls. Not for programs that a
shell would start (`actors.simulation.box.programs.table`).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from actors.simulation.box.kernel.calls import (
    CallFailed,
    ChangeDirectory,
    Interrupted,
    Open,
    Read,
    Work,
)
from actors.simulation.box.programs.conditions import ConditionFault, holds
from actors.simulation.box.programs.formatting import echoed, encoded, printed
from actors.simulation.box.programs.shell.jobs import kill_command, trap_command, wait_command
from actors.simulation.box.programs.shell.lexer import is_name
from actors.simulation.box.programs.shell.patterns import matches
from actors.simulation.box.programs.shell.state import (
    Break,
    Continue,
    ExitShell,
    Missing,
    Return,
    ShellFault,
    to_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from actors.simulation.box.kernel.calls import Call
    from actors.simulation.box.programs.shell.interpreter import Shell

__all__ = ["BUILTINS", "UNSUPPORTED"]

Status: TypeAlias = "Generator[Call, Any, int]"

# builtins of ash that a simulated shell has not
UNSUPPORTED = ("alias", "bg", "fg", "getopts", "history", "jobs", "times", "ulimit", "unalias")
_LINE_BYTES = 64 * 1024
_FLAGS = "aefux"
_NOTHING = Work(1e-6)


def _true(shell: Shell, words: list[str]) -> Status:
    yield _NOTHING
    return 0


def _false(shell: Shell, words: list[str]) -> Status:
    yield _NOTHING
    return 1


def _echo(shell: Shell, words: list[str]) -> Status:
    return (yield from shell.say(echoed(words[1:])))


def _printf(shell: Shell, words: list[str]) -> Status:
    if len(words) < 2:
        yield from shell.complain("usage: printf FORMAT [ARG]...")
        return 2
    data, errors = printed(words[1:])
    status = yield from shell.say(data)
    for error in errors:
        yield from shell.complain(error)
    return 1 if errors else status


def _test(shell: Shell, words: list[str]) -> Status:
    arguments = words[1:]
    if words[0] == "[":
        if arguments[-1:] != ["]"]:
            yield from shell.complain("missing ]")
            return 2
        arguments = arguments[:-1]
    try:
        return int(not (yield from holds(arguments)))
    except ConditionFault as fault:
        yield from shell.complain(str(fault))
        return 2


def _double_test(shell: Shell, words: list[str]) -> Status:
    """`[[ ... ]]`, as far as one comparison goes; the right side is a pattern."""
    arguments = words[1:-1]
    if words[-1] != "]]" or "&&" in arguments or "=~" in arguments:
        raise ShellFault("[[ with more than a comparison is not supported in a simulated shell")
    if len(arguments) == 3 and arguments[1] in ("=", "==", "!="):
        yield _NOTHING
        return int(matches(arguments[2], arguments[0]) is (arguments[1] == "!="))
    return (yield from _test(shell, ["test", *arguments]))


def _cd(shell: Shell, words: list[str]) -> Status:
    variables = shell.state.variables
    target = words[1] if len(words) > 1 else variables.get("HOME", "/")
    if target == "-":
        target = variables.get("OLDPWD", shell.process.cwd)
        yield from shell.say(encoded(target + "\n"))
    before = shell.process.cwd
    try:
        after = yield ChangeDirectory(target)
    except CallFailed as failed:
        yield from shell.complain(f"cd: line 0: can't cd to {target}: {failed.error}")
        return 2
    shell.state.set("OLDPWD", before)
    shell.state.set("PWD", after)
    return 0


def _pwd(shell: Shell, words: list[str]) -> Status:
    return (yield from shell.say(encoded(shell.process.cwd + "\n")))


def _exit(shell: Shell, words: list[str]) -> Status:
    yield _NOTHING
    raise ExitShell(to_number("exit", words[1]) & 0xFF if len(words) > 1 else shell.state.status)


def _return(shell: Shell, words: list[str]) -> Status:
    yield _NOTHING
    raise Return(to_number("return", words[1]) & 0xFF if len(words) > 1 else shell.state.status)


def _break(shell: Shell, words: list[str]) -> Status:
    yield _NOTHING
    levels = to_number(words[0], words[1]) if len(words) > 1 else 1
    if shell.loops == 0:
        return 0
    raise (Break if words[0] == "break" else Continue)(max(1, min(levels, shell.loops)))


def _export(shell: Shell, words: list[str]) -> Status:
    state = shell.state
    marks = state.exported if words[0] == "export" else state.constants
    arguments = [word for word in words[1:] if word != "-p"]
    if not arguments:
        lines = [f"{words[0]} {name}='{state.variables.get(name, '')}'\n" for name in sorted(marks)]
        return (yield from shell.say(encoded("".join(lines))))
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not is_name(name):
            raise ShellFault(f"{words[0]}: line 0: {name}: bad variable name")
        if equals:
            state.set(name, value)
        marks[name] = None
    yield _NOTHING
    return 0


def _local(shell: Shell, words: list[str]) -> Status:
    if not shell.locals:
        raise ShellFault("local: line 0: not in a function")
    for argument in words[1:]:
        name, equals, value = argument.partition("=")
        if not is_name(name):
            raise ShellFault(f"local: line 0: {argument}: bad variable name")
        shell.locals[-1].setdefault(name, shell.state.variables.get(name))
        if equals:
            shell.state.set(name, value)
    yield _NOTHING
    return 0


def _unset(shell: Shell, words: list[str]) -> Status:
    for name in words[1:]:
        if name in ("-v", "-f"):
            continue
        if name in shell.state.constants:
            raise ShellFault(f"{name}: is read only")
        if words[1] != "-f":
            shell.state.variables.pop(name, None)
            shell.state.exported.pop(name, None)
        if words[1] != "-v":
            shell.state.functions.pop(name, None)
    yield _NOTHING
    return 0


def _set(shell: Shell, words: list[str]) -> Status:
    arguments = words[1:]
    if not arguments:
        lines = [f"{name}='{value}'\n" for name, value in sorted(shell.state.variables.items())]
        return (yield from shell.say(encoded("".join(lines))))
    yield _NOTHING
    while arguments and arguments[0][:1] in "-+" and len(arguments[0]) > 1:
        argument = arguments.pop(0)
        if argument == "--":
            shell.state.positional = arguments
            return 0
        set_flags(shell.state.options, argument, arguments)
    if arguments:
        shell.state.positional = arguments
    return 0


def set_flags(options: dict[str, bool], argument: str, rest: list[str]) -> None:
    """`-eu`, `+x`, `-o pipefail`. Raises: ShellFault."""
    on = argument[0] == "-"
    for flag in argument[1:]:
        if flag == "o":
            name = rest.pop(0) if rest else ""
            short = {"errexit": "e", "nounset": "u", "xtrace": "x", "noglob": "f", "allexport": "a"}.get(name, name)
            if short not in (*_FLAGS, "pipefail"):
                raise ShellFault(f"set: option {name} is not supported in a simulated shell")
            options[short] = on
        elif flag in _FLAGS:
            options[flag] = on
        else:
            raise ShellFault(f"set: line 0: illegal option -{flag}")


def _shift(shell: Shell, words: list[str]) -> Status:
    yield _NOTHING
    by = to_number("shift", words[1]) if len(words) > 1 else 1
    if by > len(shell.state.positional):
        return 1
    del shell.state.positional[:by]
    return 0


def _eval(shell: Shell, words: list[str]) -> Status:
    yield _NOTHING
    return (yield from shell.evaluate(" ".join(words[1:])))


def _source(shell: Shell, words: list[str]) -> Status:
    if len(words) < 2:
        raise ShellFault(f"{words[0]}: line 0: filename argument required")
    path = words[1] if "/" in words[1] else f"./{words[1]}"
    try:
        fd = yield Open(path, "r")
    except CallFailed as failed:
        raise ShellFault(f"{words[0]}: line 0: can't open '{words[1]}': {failed.error}") from None
    pieces: list[bytes] = []
    while data := (yield Read(fd, _LINE_BYTES)):
        pieces.append(data)
    try:
        return (yield from shell.evaluate(b"".join(pieces).decode("utf-8", "surrogateescape")))
    except ExitShell:
        raise
    except Return as left:
        return left.status


def _read(shell: Shell, words: list[str]) -> Status:
    arguments = words[1:]
    raw = False
    while arguments and arguments[0].startswith("-") and len(arguments[0]) > 1:
        option = arguments.pop(0)
        if option != "-r":
            raise ShellFault(f"read {option} is not supported in a simulated shell", fatal=False)
        raw = True
    for name in arguments:
        if not is_name(name):
            raise ShellFault(f"read: line 0: {name}: bad variable name")
    line, ended = yield from _line(shell, raw)
    text = line.decode("utf-8", "surrogateescape")
    names = arguments or ["REPLY"]
    for name, value in zip(names, _shared(text, shell.state.variables.get("IFS", " \t\n"), len(names)), strict=True):
        shell.state.set(name, value)
    return int(ended)


def _line(shell: Shell, raw: bool) -> Generator[Call, Any, tuple[bytes, bool]]:
    """Byte by byte, so that the next reader finds the rest: (the line, whether the input ended)."""
    line = bytearray()
    escaped = False
    while len(line) < _LINE_BYTES:
        try:
            byte: bytes = yield Read(0, 1, interruptible=True)
        except Interrupted:
            yield from shell.take_signals()
            continue
        except CallFailed as failed:
            yield from shell.complain(f"read error: {failed.error}")
            return bytes(line), True
        if not byte:
            return bytes(line), True
        if escaped:
            escaped = False
            if byte != b"\n":
                line += byte
        elif byte == b"\\" and not raw:
            escaped = True
        elif byte == b"\n":
            break
        else:
            line += byte
    return bytes(line), False


def _shared(text: str, separators: str, count: int) -> list[str]:
    """The line's fields; the last name gets what is left, separators included."""
    blanks = "".join(char for char in separators if char in " \t\n")
    found: list[str] = []
    rest = text.lstrip(blanks) if blanks else text
    while len(found) < count - 1:
        end = next((at for at, char in enumerate(rest) if char in separators), len(rest))
        found.append(rest[:end])
        tail = rest[end:].lstrip(blanks) if blanks else rest[end:]
        if tail[:1] and tail[0] in separators and tail[0] not in blanks:
            tail = tail[1:].lstrip(blanks) if blanks else tail[1:]
        rest = tail
    found.append(rest.rstrip(blanks) if blanks else rest)
    return found


def _type(shell: Shell, words: list[str]) -> Status:
    status = 0
    path = shell.state.variables.get("PATH", "")
    for name in words[1:]:
        if name in shell.state.functions:
            what = f"{name} is a function"
        elif name in BUILTINS:
            what = f"{name} is a shell builtin"
        elif isinstance(shell.find(name, path), Missing):
            what, status = f"{name}: not found", 127
        else:
            what = f"{name} is {name}"
        yield from shell.say(encoded(what + "\n"))
    return status


def _command(shell: Shell, words: list[str]) -> Status:
    """`command -v NAME`, and `command NAME ARGUMENT...`, which looks past functions."""
    arguments = words[1:]
    if arguments[:1] in (["-v"], ["-V"]):
        name = arguments[1] if len(arguments) > 1 else ""
        known = name in BUILTINS or name in shell.state.functions
        if not known and isinstance(shell.find(name, shell.state.variables.get("PATH", "")), Missing):
            return 127
        return (yield from shell.say(encoded(name + "\n")))
    if not arguments:
        return 0
    builtin = BUILTINS.get(arguments[0])
    if builtin is not None:
        return (yield from builtin(shell, arguments))
    return (yield from shell.run_words(arguments))


def _let(shell: Shell, words: list[str]) -> Status:
    yield _NOTHING
    value = 0
    for expression in words[1:]:
        value = shell.expander.arithmetic(expression)
    return int(value == 0)


def _umask(shell: Shell, words: list[str]) -> Status:
    if len(words) == 1:
        return (yield from shell.say(encoded(f"{shell.state.mask:04o}\n")))
    if not words[1].isdecimal() or not set(words[1]) <= set("01234567"):
        raise ShellFault(f"umask: line 0: illegal mode: {words[1]}", fatal=False)
    yield _NOTHING
    # stored and printed, without effect: files have no modes
    shell.state.mask = int(words[1], 8) & 0o777
    return 0


def _unsupported(shell: Shell, words: list[str]) -> Status:
    yield from shell.complain(f"{words[0]} is not supported in a simulated shell")
    return 2


BUILTINS: Mapping[str, Callable[[Shell, list[str]], Status]] = MappingProxyType(
    {
        ":": _true,
        ".": _source,
        "[": _test,
        "[[": _double_test,
        "break": _break,
        "cd": _cd,
        "command": _command,
        "continue": _break,
        "echo": _echo,
        "eval": _eval,
        "exec": _true,  # the interpreter's own: its redirections stay
        "exit": _exit,
        "export": _export,
        "false": _false,
        "hash": _true,
        "kill": kill_command,
        "let": _let,
        "local": _local,
        "printf": _printf,
        "pwd": _pwd,
        "read": _read,
        "readonly": _export,
        "return": _return,
        "set": _set,
        "shift": _shift,
        "source": _source,
        "test": _test,
        "trap": trap_command,
        "true": _true,
        "type": _type,
        "umask": _umask,
        "unset": _unset,
        "wait": wait_command,
        **dict.fromkeys(UNSUPPORTED, _unsupported),
    }
)
