"""The shell itself: runs what the parser made, as a simulated process. Modelled on busybox' ash.

For the table of programs. A command is a generator of system calls that returns its status; `break`, `return` and
`exit` are exceptions of `state`. A `finally` here must not yield: a killed process's generators are simply closed. Not for words
(`expansion`) nor for what builtins do (`builtins`).
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from actors.simulation.box.kernel.calls import (
    PRIVATE_FD,
    Allocate,
    Call,
    CallFailed,
    Close,
    Duplicate,
    Ended,
    Exec,
    Open,
    Pipe,
    Read,
    Spawn,
    Wait,
    Work,
    Write,
)
from actors.simulation.box.programs.formatting import encoded
from actors.simulation.box.programs.shell.expansion import Expander
from actors.simulation.box.programs.shell.parser import parse
from actors.simulation.box.programs.shell.redirection import Redirection
from actors.simulation.box.programs.shell.state import Break, ExitShell, Missing, Return, ShellFault, ShellState
from actors.simulation.box.programs.shell.syntax import (
    Node,
    Redirect,
    Script,
    Sequence,
    Simple,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from actors.simulation.box.kernel.calls import Body, Program
    from actors.simulation.box.kernel.process import Process

__all__ = ["Find", "Shell", "Status", "Tables"]

Status: TypeAlias = "Generator[Call, Any, int]"
Find: TypeAlias = "Callable[[str, str], Program | Missing]"

_STEP = Work(15e-6)
# functions, evals and traps within each other; ours is a real stack
_DEPTH = 40
# what a variable or a substitution may hold; a real shell would go on until its container has no memory left
_TEXT_BYTES = 16 * 1024 * 1024
_CHARGED_BYTES = 4096


# assignments before these stay, as POSIX has it for special builtins
PERSISTENT = frozenset(
    (":", ".", "eval", "exec", "exit", "export", "readonly", "return", "set", "shift", "trap", "unset")
)
# these make a call whatever their arguments are, and most of what loops do is one of them
CALLING = frozenset((":", "true", "false", "echo", "pwd"))


class Tables(NamedTuple):
    """What a shell knows: each kind of command, and the builtins by name."""

    commands: Mapping[type[Any], Callable[[Shell, Any, bool], Status]]
    builtins: Mapping[str, Callable[[Shell, list[str]], Status]]


class Shell:
    """One shell in one process. `find` looks a program up by its name and a PATH."""

    def __init__(self, process: Process, state: ShellState, find: Find, tables: Tables) -> None:
        self.tables = tables
        self.process = process
        self.state = state
        self.find = find
        self.expander = Expander(self)
        self.redirection = Redirection(self.expander)
        self.interactive = False
        self.depth = 0
        # how many loops enclose this command, as far as `break` reaches
        self.loops = 0
        # commands whose status is tested: `set -e` does not apply
        self._tested = 0
        self._substituted: int | None = None
        self.locals: list[dict[str, str | None]] = []

    # whole scripts

    def run(self, script: Script, *, last: bool) -> Status:
        """A script to the shell's end, its EXIT trap included. `last`: nothing comes after it, so its last program may take our place."""
        return (yield from self.guarded(self._lines(script, last=last)))

    def run_node(self, node: Node) -> Status:
        """The same for one command: a subshell."""
        return (yield from self.guarded(self.execute(node, last=True)))

    def guarded(self, body: Status) -> Status:
        """A body that is all of the shell: what leaves it ends the shell, with its EXIT trap."""
        try:
            status = yield from body
        except (Return, Break) as left:
            status = left.status if isinstance(left, Return) else 0
        except RecursionError:
            yield from self.complain("commands are nested too deep")
            status = 2
        return (yield from self._finish(status))

    def _finish(self, status: int) -> Status:
        action = self.state.traps.pop(0, "")
        if not action:
            return status
        self.state.status = status
        try:
            yield from self.evaluate(action)
        except Return as left:
            return left.status
        except Break:
            pass
        return status

    def _lines(self, script: Script, *, last: bool) -> Status:
        status = 0
        for at, line in enumerate(script.lines):
            status = yield from self.execute(line, last=last and at == len(script.lines) - 1 and script.fault is None)
        if script.fault is not None:
            yield from self.complain(script.fault.message)
            raise ExitShell(2)
        return status

    def evaluate(self, text: str) -> Status:
        """`eval`, a trap's action, `.`: in this very shell."""
        self.deeper()
        try:
            return (yield from self._lines(parse(text), last=False))
        finally:
            self.depth -= 1

    def deeper(self) -> None:
        """Raises: ShellFault when this goes too deep."""
        if self.depth >= _DEPTH:
            raise ShellFault("functions or evals are nested too deep for a simulated shell")
        self.depth += 1

    def complain(self, message: str) -> Status:
        """On stderr, with the shell's name before it."""
        return (yield from self._write_stderr(f"{self.state.name}: {message}\n"))

    def _write_stderr(self, text: str) -> Status:
        """On stderr, if it is there."""
        try:
            yield Write(2, encoded(text))
        except CallFailed:
            return 1
        return 0

    def say(self, data: bytes) -> Status:
        """A builtin's output."""
        try:
            yield Write(1, data)
        except CallFailed as failed:
            yield from self.complain(f"write error: {failed.error}")
            return 1
        return 0

    def flags(self) -> str:
        """`$-`."""
        return "".join(sorted(name for name, on in self.state.options.items() if on and len(name) == 1))

    # commands

    def execute(self, node: Node, *, last: bool = False) -> Status:
        """One command; its status is also `$?`."""
        status = yield from self.tables.commands[type(node)](self, node, last)
        self.state.status = status
        return status

    def checked(self, status: int) -> int:
        """The status, unless `set -e` ends the shell with it."""
        if status and not self._tested and self.state.options.get("e"):
            self.state.status = status
            raise ExitShell(status)
        return status

    def test(self, node: Node) -> Status:
        """A command that is asked for its status."""
        self._tested += 1
        try:
            return (yield from self.execute(node))
        finally:
            self._tested -= 1

    def redirected(self, redirects: tuple[Redirect, ...], body: Callable[[], Status]) -> Status:
        """A body with some descriptors turned elsewhere, and back after it."""
        if not redirects:
            return (yield from body())
        saved: list[tuple[int, int | None]] = []
        try:
            yield from self.redirection.apply(redirects, saved)
            status = yield from body()
        except ShellFault as fault:
            # printed where stderr is by now
            yield from self.complain(fault.message)
            yield from self.redirection.restore(saved)
            return self.checked(self._after(fault))
        except Exception:
            yield from self.redirection.restore(saved)
            raise
        yield from self.redirection.restore(saved)
        return status

    def _after(self, fault: ShellFault) -> int:
        """The status that it leaves. Raises: ExitShell when the shell ends with it."""
        if fault.fatal and not self.interactive:
            raise ExitShell(fault.status)
        self.state.status = fault.status
        return fault.status

    def fault(self, body: Generator[Call, Any, Any]) -> Generator[Call, Any, Any]:
        """An expansion whose fault ends the shell."""
        try:
            return (yield from body)
        except ShellFault as fault:
            yield from self.complain(fault.message)
            raise ExitShell(fault.status) from None

    # processes

    def spawn(self, node: Node, files: dict[int, int] | None, *, background: bool = False) -> Generator[Call, Any, int]:
        """A subshell that runs a command: its number. Raises: ShellFault."""
        state = self.state.copy()

        def program(process: Process) -> Body:
            if background and not self.interactive:
                null = yield Open("/dev/null", "r")
                yield Duplicate(null, 0)
                yield Close(null)
            return (yield from self._child(process, state, tested=0 if background else self._tested).run_node(node))

        return (
            yield from self._spawn(
                Spawn(program, self.process.argv, self.process.environment, files, background, loaded=False)
            )
        )

    def _child(self, process: Process, state: ShellState, *, tested: int = 0) -> Shell:
        child = Shell(process, state, self.find, self.tables)
        child.depth = self.depth
        child._tested = tested
        return child

    def _spawn(self, call: Spawn) -> Generator[Call, Any, int]:
        try:
            pid: int = yield call
        except CallFailed as failed:
            raise ShellFault(f"can't fork: {failed.error}") from None
        return pid

    def wait_for(self, pid: int, *, interruptible: bool = False) -> Status:
        """Wait for a child; that a signal killed it is printed. Raises: Interrupted, CallFailed for one that is not ours."""
        ended: Ended = yield Wait(pid, interruptible)
        if ended.signum in _SIGNAL_MESSAGES:
            yield from self._write_stderr(_SIGNAL_MESSAGES[ended.signum])
        return ended.status

    def substitute(self, script: Script) -> Generator[Call, Any, str]:
        """`$(...)`: what it prints, without the newlines at its end."""
        if script.fault is not None:
            raise ShellFault(script.fault.message)
        reading, writing = yield Pipe()
        node = Sequence(tuple((line, False) for line in script.lines))
        files = {fd: fd for fd in self.process.files if fd < PRIVATE_FD} | {1: writing}
        pid = yield from self.spawn(node, files)
        yield Close(writing)
        pieces: list[bytes] = []
        size = charged = 0
        while data := (yield Read(reading, 64 * 1024)):
            pieces.append(data)
            size += len(data)
            if size > _CHARGED_BYTES:
                yield Allocate(size - charged)
                charged = size
            if size > _TEXT_BYTES:
                raise ShellFault("out of memory: a substitution of a simulated shell holds 16 MiB")
        yield Close(reading)
        ended: Ended = yield Wait(pid)
        self._substituted = ended.status
        yield from self.take_signals()
        if charged:
            yield Allocate(-charged)
        return b"".join(pieces).replace(b"\0", b"").decode("utf-8", "surrogateescape").rstrip("\n")

    def take_signals(self) -> Status:
        """Run the traps of what came meanwhile; `$?` is as before."""
        caught = self.process.caught
        while caught:
            action = self.state.traps.get(caught.popleft())
            if action:
                before = self.state.status
                yield from self.evaluate(action)
                self.state.status = before
        return 0

    # simple commands

    def simple(self, node: Simple, last: bool) -> Status:
        """See `Tables`."""
        try:
            status = yield from self._try_simple(node, last)
        except ShellFault as fault:
            yield from self.complain(fault.message)
            status = self._after(fault)
        if self.process.caught:
            self.state.status = status
            yield from self.take_signals()
        return self.checked(status) if status else 0

    def _try_simple(self, node: Simple, last: bool) -> Status:
        self._substituted = None
        fields = yield from self.expander.fields(node.words)
        if not fields:
            yield _STEP
            yield from self.assign(node.assignments)
            if node.redirects:
                status = yield from self.redirected(node.redirects, self._nothing)
                if status:
                    return status
            return self._substituted or 0
        name = fields[0]
        if self.state.options.get("x"):
            yield from self._write_stderr(f"+ {' '.join(map(quoted, fields))}\n")
        function = self.state.functions.get(name)
        if function is not None:
            yield _STEP
            return (yield from self._with(node, name, lambda: self.call(function, fields[1:])))
        builtin = self.tables.builtins.get(name)
        if builtin is not None:
            if name not in CALLING:
                # a loop of builtins that ask nothing of the kernel must take time all the same
                yield _STEP
            if name == "exec":
                return (yield from self._exec(node, fields[1:]))
            return (yield from self._with(node, name, lambda: builtin(self, fields)))
        return (yield from self.run_program(fields, node, last=last))

    def _nothing(self) -> Status:
        yield _STEP
        return 0

    def assign(self, assignments: tuple[tuple[str, Any], ...]) -> Status:
        """Set variables. Raises: ShellFault."""
        for name, word in assignments:
            value = word.plain
            if value is None:
                value = yield from self.expander.text(word)
            if self.state.options.get("x"):
                yield from self._write_stderr(f"+ {name}={quoted(value)}\n")
            if len(value) > _CHARGED_BYTES:
                yield Allocate(len(value))
                if len(value) > _TEXT_BYTES:
                    raise ShellFault("out of memory: a variable of a simulated shell holds 16 MiB")
            before = len(self.state.variables.get(name, ""))
            self.state.set(name, value)
            if before > _CHARGED_BYTES:
                yield Allocate(-before)
        return 0

    def _with(self, node: Simple, name: str, body: Callable[[], Status]) -> Status:
        """A builtin or function with its redirections, and assignments that last as long as it does."""
        if not node.assignments:
            return (yield from self.redirected(node.redirects, body))
        before = {each: self.state.variables.get(each) for each, _ in node.assignments}
        exported = dict(self.state.exported)
        yield from self.assign(node.assignments)
        if name in PERSISTENT:
            return (yield from self.redirected(node.redirects, body))
        self.state.exported.update(dict.fromkeys(before))
        try:
            return (yield from self.redirected(node.redirects, body))
        finally:
            self.state.exported = exported
            self.state.put_back(before)

    def call(self, body: Node, arguments: list[str]) -> Status:
        """A function."""
        self.deeper()
        positional, self.state.positional = self.state.positional, arguments
        loops, self.loops = self.loops, 0
        self.locals.append({})
        try:
            return (yield from self.execute(body))
        except ExitShell:
            raise
        except Return as left:
            return left.status
        finally:
            self.depth -= 1
            self.loops = loops
            self.state.positional = positional
            self.state.put_back(self.locals.pop())

    def run_words(self, words: list[str]) -> Status:
        """A program by its words alone. Raises: ShellFault."""
        return (yield from self.run_program(words, Simple((), (), ()), last=False))

    def run_program(self, fields: list[str], node: Simple, *, last: bool) -> Status:
        """A program that is no builtin. Raises: ShellFault."""
        environment = self.state.environment()
        for name, word in node.assignments:
            environment[name] = yield from self.expander.text(word)
        path = environment.get("PATH", self.state.variables.get("PATH", ""))
        program = self.find(fields[0], path)
        if isinstance(program, Missing):
            return (yield from self.redirected(node.redirects, lambda: self._missing(fields[0], program)))
        if last and not any(self.state.traps.values()) and not self.interactive:
            yield from self.redirection.apply(node.redirects, [])
            yield Exec(program, tuple(fields), environment)
        child = program
        if node.redirects:
            # in the child, so that ours are left as they are
            child = self._redirecting(program, tuple(fields), environment, node.redirects)
        pid = yield from self._spawn(Spawn(child, tuple(fields), environment))
        return (yield from self.wait_for(pid))

    def _redirecting(
        self, program: Program, argv: tuple[str, ...], environment: dict[str, str], redirects: tuple[Redirect, ...]
    ) -> Program:
        state = self.state.copy()

        def body(process: Process) -> Body:
            child = self._child(process, state)
            try:
                yield from child.redirection.apply(redirects, [])
            except ShellFault as fault:
                yield from child.complain(fault.message)
                return fault.status
            yield Exec(program, argv, environment)
            return 0

        return body

    def _missing(self, name: str, why: Missing, prefix: str = "") -> Status:
        yield from self.complain(f"{prefix}{name}: {why.value}")
        return 126 if why is Missing.DENIED else 127

    def _exec(self, node: Simple, words: list[str]) -> Status:
        """`exec`: redirections that stay, and a program in our place."""
        yield from self.redirection.apply(node.redirects, [])
        if not words:
            return 0
        yield from self.assign(node.assignments)
        environment = self.state.environment() | {name: self.state.variables[name] for name, _ in node.assignments}
        program = self.find(words[0], environment.get("PATH", self.state.variables.get("PATH", "")))
        if isinstance(program, Missing):
            raise ExitShell((yield from self._missing(words[0], program, "exec: line 0: ")))
        yield Exec(program, tuple(words), environment)
        return 0


_SAFE = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-+./:,@]")


def quoted(text: str) -> str:
    """As `set -x` shows a word."""
    return text if _SAFE.issuperset(text) else "'" + text.replace("'", "'\\''") + "'"


_SIGNAL_MESSAGES: Mapping[int, str] = {
    signal.SIGKILL: "Killed\n",
    signal.SIGTERM: "Terminated\n",
    signal.SIGHUP: "Hangup\n",
    signal.SIGQUIT: "Quit\n",
    signal.SIGABRT: "Aborted\n",
    signal.SIGSEGV: "Segmentation fault\n",
    signal.SIGUSR1: "User defined signal 1\n",
    signal.SIGUSR2: "User defined signal 2\n",
    signal.SIGALRM: "Alarm clock\n",
}
