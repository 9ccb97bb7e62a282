"""Programs that query the kernel, or wait: sleep, ps, kill, id, env, hostname, uname, stty, timeout and more.

For the table. Each takes its process and yields system calls. Not for the shell's own builtins.
"""

from __future__ import annotations

import posixpath
import re
import signal
from typing import TYPE_CHECKING, Any

from actors.simulation.box.kernel.calls import (
    Call,
    CallFailed,
    Disposition,
    Exec,
    Handle,
    Kill,
    ListProcesses,
    Now,
    SetTerminal,
    Sleep,
    Spawn,
    WindowSize,
    Write,
)
from actors.simulation.box.programs.common import UsageFault, complain, name_of, options, say
from actors.simulation.box.programs.conditions import ConditionFault, holds
from actors.simulation.box.programs.formatting import echoed, encoded, printed
from actors.simulation.box.programs.lookup import find_program, missing_status
from actors.simulation.box.programs.shell.state import Missing, signal_number

if TYPE_CHECKING:
    from collections.abc import Generator

    from actors.simulation.box.kernel.calls import Body
    from actors.simulation.box.kernel.process import Process

__all__ = [
    "busybox", "condition", "date", "echo", "env", "false", "hostname", "identity", "kill", "nohup", "nproc", "printenv",
    "printf", "ps", "pwd", "setsid", "sleep", "stty", "timeout", "true", "tty", "uname", "usleep", "which", "whoami",
]  # fmt: skip

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
# when a simulated machine was started, for those who ask what time it is: 2026-01-01T00:00:00Z
BOOTED = 1_767_225_600


def true(process: Process) -> Body:
    """0."""
    yield from ()
    return 0


def false(process: Process) -> Body:
    """1."""
    yield from ()
    return 1


def echo(process: Process) -> Body:
    """Its arguments: -n -e."""
    return (yield from say(echoed(list(process.argv[1:]))))


def printf(process: Process) -> Body:
    """Formatted arguments."""
    if len(process.argv) < 2:
        raise UsageFault("usage: printf FORMAT [ARG]...")
    data, errors = printed(list(process.argv[1:]))
    yield from say(data)
    for error in errors:
        yield from complain(process, error)
    return int(bool(errors))


def condition(process: Process) -> Body:
    """`test` and `[`."""
    words = list(process.argv[1:])
    if name_of(process) == "[":
        if words[-1:] != ["]"]:
            raise UsageFault("missing ]", 2)
        words.pop()
    try:
        return int(not (yield from holds(words)))
    except ConditionFault as fault:
        raise UsageFault(str(fault), 2) from None


def seconds(text: str) -> float:
    """`1`, `0.5`, `2m`. Raises: UsageFault."""
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)([smhd]?)", text)
    if found is None:
        raise UsageFault(f"invalid number '{text}'")
    return float(found.group(1)) * _UNITS[found.group(2)]


def sleep(process: Process) -> Body:
    """Wait: the sum of its arguments, each with s, m, h or d."""
    if len(process.argv) < 2:
        raise UsageFault("usage: sleep [N]...")
    if process.argv[1:] in (("infinity",), ("inf",)):
        yield Sleep(float("inf"))
    yield Sleep(sum(seconds(word) for word in process.argv[1:]))
    return 0


def usleep(process: Process) -> Body:
    """Wait for microseconds."""
    if len(process.argv) != 2 or not process.argv[1].isdecimal():
        raise UsageFault("usage: usleep N")
    yield Sleep(int(process.argv[1]) / 1e6)
    return 0


def pwd(process: Process) -> Body:
    """The working directory."""
    return (yield from say(process.cwd + "\n"))


def ps(process: Process) -> Body:
    """The container's processes; `-o` chooses columns of pid, ppid, user, stat, args, comm, rss, vsz, tty."""
    found, rest = options(process, "eAfawx", "o")
    if rest:
        raise UsageFault(f"{rest[0]}: not supported by the simulated program")
    columns = found.get("o", "pid,user,args").split(",")
    for column in columns:
        if column not in _COLUMNS:
            raise UsageFault(f"bad -o argument '{column}', supported arguments: {','.join(_COLUMNS)}")
    processes: tuple[Process, ...] = yield ListProcesses()
    lines = [_row([f"{_COLUMNS[column][0]:<{_width(column)}}" for column in columns])]
    for each in processes:
        cells = [f"{_column(each, column):{_COLUMNS[column][1]}{_width(column)}}" for column in columns]
        lines.append(_row(cells))
    return (yield from say("".join(lines)))


def _row(cells: list[str]) -> str:
    return " ".join(cells).rstrip() + "\n"


def _width(column: str) -> int:
    return _COLUMNS[column][2]


# name -> (header, alignment, width), as busybox has them
_COLUMNS = {
    "pid": ("PID", ">", 5), "ppid": ("PPID", ">", 5), "user": ("USER", "<", 8), "stat": ("STAT", "<", 4), "args": ("COMMAND", "<", 1),
    "comm": ("COMMAND", "<", 16), "rss": ("RSS", ">", 4), "vsz": ("VSZ", ">", 4), "tty": ("TT", "<", 6),
}  # fmt: skip


def _column(each: Process, column: str) -> str:
    return {
        "pid": str(each.pid),
        "ppid": str(each.parent.pid if each.parent is not None else 0),
        "user": user_name(each),
        "stat": each.state,
        "args": " ".join(each.argv),
        "comm": posixpath.basename(each.argv[0])[:15],
        "rss": str(each.memory // 1024),
        "vsz": str(each.memory // 1024),
        "tty": "136,0" if each.terminal is not None else "?",
    }[column]


def user_name(process: Process) -> str:
    """By the container's passwd, else the number."""
    return _named(process, "/etc/passwd", process.identity.uid) or str(process.identity.uid)


def _named(process: Process, path: str, number: int) -> str:
    rows = (row.split(":") for row in process.container.tree.text(path).splitlines())
    return next((row[0] for row in rows if len(row) > 2 and row[2] == str(number)), "")


def identity(process: Process) -> Body:
    """`id`: who runs this; -u -g -n."""
    found, _ = options(process, "ugnG")
    who = process.identity
    user, group = user_name(process), _named(process, "/etc/group", who.gid)
    if "u" in found:
        return (yield from say(f"{user if 'n' in found else who.uid}\n"))
    if "g" in found:
        return (yield from say(f"{group or who.gid if 'n' in found else who.gid}\n"))
    if "G" in found:
        return (yield from say(" ".join(map(str, (who.gid, *who.groups))) + "\n"))
    named = f"({user})" if user != str(who.uid) else ""
    text = f"uid={who.uid}{named} gid={who.gid}{f'({group})' if group else ''}"
    if who.groups:
        names = (
            f"{each}({name})" if (name := _named(process, "/etc/group", each)) else str(each) for each in who.groups
        )
        text += f" groups={','.join(names)}"
    return (yield from say(text + "\n"))


def whoami(process: Process) -> Body:
    """The user's name."""
    name = user_name(process)
    if name.isdecimal():
        raise UsageFault(f"unknown uid {name}")
    return (yield from say(name + "\n"))


def env(process: Process) -> Body:
    """The environment, or a program in a changed one: -i, NAME=VALUE."""
    words = list(process.argv[1:])
    environment = dict(process.environment)
    if words[:1] in (["-i"], ["-"]):
        environment = {}
        words.pop(0)
    while words and "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    if words:
        return (yield from become(process, words, environment))
    return (yield from say("".join(f"{name}={value}\n" for name, value in environment.items())))


def become(process: Process, words: list[str], environment: dict[str, str]) -> Generator[Call, Any, int]:
    """execve(2) of another program; 126 or 127 when it can't be."""
    program = find_program(process, words[0], environment.get("PATH", ""))
    if isinstance(program, Missing):
        yield from complain(process, f"can't execute '{words[0]}': {_EXEC_ERRORS[program]}")
        return missing_status(program)
    yield Exec(program, tuple(words), environment)
    return 0


_EXEC_ERRORS = {Missing.ABSENT: "No such file or directory", Missing.DENIED: "Permission denied"}


def printenv(process: Process) -> Body:
    """Variables of the environment."""
    names = process.argv[1:]
    if not names:
        return (yield from say("".join(f"{name}={value}\n" for name, value in process.environment.items())))
    status = 0
    for name in names:
        if name in process.environment:
            yield from say(process.environment[name] + "\n")
        else:
            status = 1
    return status


def hostname(process: Process) -> Body:
    """The sandbox's name."""
    options(process, "sf")
    return (yield from say(process.container.hostname + "\n"))


def uname(process: Process) -> Body:
    """-a -s -n -r -m."""
    found, _ = options(process, "asnrmv")
    parts = {"s": "Linux", "n": process.container.hostname, "r": "6.1.0-simulated", "v": "#1 SMP", "m": "x86_64"}
    wanted = list(parts) if "a" in found else [name for name in parts if name in found] or ["s"]
    return (yield from say(" ".join(parts[name] for name in wanted) + (" GNU/Linux\n" if "a" in found else "\n")))


def nproc(process: Process) -> Body:
    """1: a simulated machine has one processor."""
    return (yield from say("1\n"))


def date(process: Process) -> Body:
    """+%s alone; a simulated machine was started at the beginning of 2026."""
    if process.argv[1:] != ("+%s",):
        raise UsageFault("only `date +%s` is supported by the simulated program")
    now: float = yield Now()
    return (yield from say(f"{BOOTED + int(now)}\n"))


def stty(process: Process) -> Body:
    """size, echo, -echo, raw, -raw, sane, rows N, cols N."""
    words = list(process.argv[1:])
    changes: dict[str, Any] = {}
    try:
        if words == ["size"]:
            rows, columns = yield WindowSize(0)
            return (yield from say(f"{rows} {columns}\n"))
        yield WindowSize(0)
        while words:
            word = words.pop(0)
            if word in ("rows", "cols", "columns") and words and words[0].isdecimal():
                changes["rows" if word == "rows" else "columns"] = int(words.pop(0))
            elif word in _MODES:
                changes |= _MODES[word]
            else:
                raise UsageFault(f"{word}: not supported by the simulated program")
        yield SetTerminal(0, **changes)
    except CallFailed as failed:
        return (yield from complain(process, f"standard input: {failed.error}"))
    return 0


_MODES: dict[str, dict[str, bool]] = {
    "echo": {"echo": True},
    "-echo": {"echo": False},
    "icanon": {"lines": True},
    "-icanon": {"lines": False},
    "raw": {"lines": False},
    "-raw": {"lines": True},
    "cooked": {"lines": True},
    "sane": {"echo": True, "lines": True},
}


def tty(process: Process) -> Body:
    """The terminal's name, or `not a tty`."""
    try:
        yield WindowSize(0)
    except CallFailed:
        yield from say("not a tty\n")
        return 1
    return (yield from say("/dev/pts/0\n"))


def kill(process: Process) -> Body:
    """A signal to processes by number."""
    words = list(process.argv[1:])
    signum: int | None = int(signal.SIGTERM)
    if words[:1] == ["-s"]:
        words = [f"-{words[1] if len(words) > 1 else ''}", *words[2:]]
    if words and words[0].startswith("-") and words[0] != "--":
        signum = signal_number(words.pop(0)[1:])
    if signum is None:
        raise UsageFault("bad signal name")
    words = words[1:] if words[:1] == ["--"] else words
    if not words:
        raise UsageFault("you need to specify whom to kill")
    status = 0
    for word in words:
        if not word.isdecimal() and word != "-1":
            raise UsageFault(f"invalid number '{word}'")
        try:
            yield Kill(int(word), signum)
        except CallFailed as failed:
            status = yield from complain(process, f"can't kill pid {word}: {failed.error}")
    return status


def killall(process: Process) -> Body:
    """A signal to processes by name."""
    words = list(process.argv[1:])
    signum: int | None = int(signal.SIGTERM)
    if words and words[0].startswith("-"):
        signum = signal_number(words.pop(0)[1:])
    if signum is None or not words:
        raise UsageFault("usage: killall [-SIGNAL] NAME...")
    status = 0
    every: tuple[Process, ...] = yield ListProcesses()
    for word in words:
        named = [each.pid for each in every if posixpath.basename(each.argv[0]) == word and each is not process]
        if not named:
            status = yield from complain(process, f"{word}: no process killed")
        for pid in named:
            yield Kill(pid, signum)
    return status


def nohup(process: Process) -> Body:
    """A program that ignores SIGHUP."""
    if len(process.argv) < 2:
        raise UsageFault("missing operand", 125)
    yield Handle(signal.SIGHUP, Disposition.IGNORE)
    return (yield from become(process, list(process.argv[1:]), process.environment))


def setsid(process: Process) -> Body:
    """A program in a session of its own: no terminal's signals reach it."""
    words = list(process.argv[1:])
    if not words:
        raise UsageFault("usage: setsid PROG ARGS")
    program = find_program(process, words[0], process.environment.get("PATH", ""))
    if isinstance(program, Missing):
        yield from complain(process, f"can't execute '{words[0]}': {_EXEC_ERRORS[program]}")
        return missing_status(program)
    # as setsid does when it leads a group: the child goes on, we end
    yield Spawn(program, tuple(words), process.environment, own_session=True)
    return 0


def timeout(process: Process) -> Body:
    """A program that is sent TERM (-s) when its seconds are over: 143, as busybox has it."""
    found, words = options(process, "", "sk")
    if len(words) < 2:
        raise UsageFault("usage: timeout [-s SIG] SECS PROG ARGS")
    signum = signal_number(found.get("s", "TERM"))
    if signum is None:
        raise UsageFault(f"bad signal name '{found['s']}'")
    limit = seconds(words[0])
    program = find_program(process, words[1], process.environment.get("PATH", ""))
    if isinstance(program, Missing):
        yield from complain(process, f"can't execute '{words[1]}': {_EXEC_ERRORS[program]}")
        return missing_status(program)
    own = process.pid

    def watch(_: Process) -> Body:
        left = limit
        try:
            while left > 0:
                yield Sleep(min(1.0, left))
                left -= 1.0
                yield Kill(own, 0)
            yield Kill(own, signum)
        except CallFailed:
            return 1  # it has ended by itself
        return 0

    # the program replaces us, so that its exit code is passed on
    yield Spawn(watch, process.argv, {}, files={}, loaded=False)
    yield Exec(program, tuple(words[1:]), process.environment)
    return 0


def which(process: Process) -> Body:
    """Where programs are."""
    status = 0
    tree = process.container.tree
    for name in process.argv[1:]:
        paths = [posixpath.join(folder, name) for folder in process.environment.get("PATH", "").split(":")]
        where = next((path for path in paths if tree.program(path) is not None), None)
        if where is None:
            status = 1
        else:
            yield from say(where + "\n")
    return status


def busybox(process: Process) -> Body:
    """`busybox NAME ARGUMENT...`."""
    words = list(process.argv[1:])
    if not words:
        raise UsageFault("usage: busybox NAME [ARG]...", 127)
    program = find_program(process, words[0], "")
    if isinstance(program, Missing) or "/" in words[0]:
        yield Write(2, encoded(f"{words[0]}: applet not found\n"))
        return 127
    yield Exec(program, tuple(words), process.environment)
    return 0
