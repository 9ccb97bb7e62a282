"""Compound commands: lists, pipelines, conditions, loops, functions; one function for each kind, in one table.

For the interpreter. `last`: nothing follows in this shell, so that its program may replace the shell, as by `exec`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from actors.simulation.box.kernel.calls import PRIVATE_FD, Close, Ended, Pipe, Wait, Work
from actors.simulation.box.programs.shell.patterns import matches
from actors.simulation.box.programs.shell.state import Break, Continue
from actors.simulation.box.programs.shell.syntax import (
    AndOr,
    Case,
    For,
    Function,
    Group,
    If,
    Loop,
    Node,
    Pipeline,
    Sequence,
    Simple,
    Subshell,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from actors.simulation.box.kernel.calls import Call
    from actors.simulation.box.programs.shell.interpreter import Shell

__all__ = ["COMMANDS"]

Status: TypeAlias = "Generator[Call, Any, int]"
_STEP = Work(15e-6)


def _sequence(shell: Shell, node: Sequence, last: bool) -> Status:
    status = 0
    for at, (item, background) in enumerate(node.items):
        if background:
            status = yield from _start(shell, item)
            shell.state.status = status
        else:
            status = yield from shell.execute(item, last=last and at == len(node.items) - 1)
    return status


def _and_or(shell: Shell, node: AndOr, last: bool) -> Status:
    status = yield from shell.test(node.first)
    for operator, command in node.rest:
        if (status == 0) != (operator == "&&"):
            continue
        if command is node.rest[-1][1]:
            return (yield from shell.execute(command, last=last))
        status = yield from shell.test(command)
        shell.state.status = status
    return status


def _if(shell: Shell, node: If, last: bool) -> Status:
    if node.redirects:
        return (yield from shell.redirected(node.redirects, lambda: _branches(shell, node, last=False)))
    return (yield from _branches(shell, node, last=last))


def _branches(shell: Shell, node: If, *, last: bool) -> Status:
    for condition, body in node.branches:
        if (yield from shell.test(condition)) == 0:
            return (yield from shell.execute(body, last=last))
    return (yield from shell.execute(node.otherwise, last=last)) if node.otherwise is not None else 0


def _loop(shell: Shell, node: Loop, last: bool) -> Status:
    return (yield from shell.redirected(node.redirects, lambda: _rounds(shell, node)))


def _rounds(shell: Shell, node: Loop) -> Status:
    status = 0
    shell.loops += 1
    while True:
        try:
            condition = yield from shell.test(node.condition)
            if (condition == 0) is node.until:
                break
            status = yield from shell.execute(node.body)
        except Break as left:
            status = 0
            if not _continues(shell, left):
                break
    shell.loops -= 1
    return status


def _continues(shell: Shell, left: Break) -> bool:
    """Whether this loop has its next round after a break or continue."""
    if left.levels > 1:
        left.levels -= 1
        shell.loops -= 1
        raise left
    return isinstance(left, Continue)


def _for(shell: Shell, node: For, last: bool) -> Status:
    return (yield from shell.redirected(node.redirects, lambda: _each(shell, node)))


def _each(shell: Shell, node: For) -> Status:
    if node.words is None:
        values = list(shell.state.positional)
    else:
        values = yield from shell.fault(shell.expander.fields(node.words))
    status = 0
    shell.loops += 1
    for value in values:
        try:
            shell.state.set(node.name, value)
            status = yield from shell.execute(node.body)
        except Break as left:
            status = 0
            if not _continues(shell, left):
                break
    shell.loops -= 1
    return status


def _case(shell: Shell, node: Case, last: bool) -> Status:
    if node.redirects:
        return (yield from shell.redirected(node.redirects, lambda: _choose(shell, node, last=False)))
    return (yield from _choose(shell, node, last=last))


def _choose(shell: Shell, node: Case, *, last: bool) -> Status:
    subject = yield from shell.fault(shell.expander.text(node.word))
    for patterns, body in node.items:
        for word in patterns:
            pattern = yield from shell.fault(shell.expander.pattern(word))
            if matches(pattern, subject):
                return (yield from shell.execute(body, last=last)) if body is not None else 0
    return 0


def _group(shell: Shell, node: Group, last: bool) -> Status:
    if node.redirects:
        return (yield from shell.redirected(node.redirects, lambda: shell.execute(node.body)))
    return (yield from shell.execute(node.body, last=last))


def _function(shell: Shell, node: Function, last: bool) -> Status:
    shell.state.functions[node.name] = node.body
    yield _STEP
    return 0


def _start(shell: Shell, node: Node) -> Status:
    pid = yield from shell.fault(shell.spawn(node, None, background=True))
    shell.state.background = pid
    return 0


def _subshell(shell: Shell, node: Subshell, last: bool) -> Status:
    if last and not shell.state.traps and not node.redirects:
        return (yield from shell.execute(node.body, last=True))

    def body() -> Status:
        pid = yield from shell.spawn(node.body, None)
        return (yield from shell.wait_for(pid))

    status = yield from shell.redirected(node.redirects, lambda: shell.fault(body()))
    yield from shell.take_signals()
    return shell.checked(status)


def _pipeline(shell: Shell, node: Pipeline, last: bool) -> Status:
    if len(node.commands) == 1:
        status = yield from shell.test(node.commands[0])
        return int(not status)
    own = {fd: fd for fd in shell.process.files if fd < PRIVATE_FD}
    pids: list[int] = []
    reading: int | None = None
    for command in node.commands:
        files = dict(own)
        if reading is not None:
            files[0] = reading
        following: int | None = None
        writing: int | None = None
        if command is not node.commands[-1]:
            following, writing = both = yield from _pipe()
            files[1] = both[1]
        pids.append((yield from shell.fault(shell.spawn(command, files))))
        for fd in (reading, writing):
            if fd is not None:
                yield Close(fd)
        reading = following
    statuses = yield from _wait_all(pids)
    yield from shell.take_signals()
    status = statuses[-1]
    if shell.state.options.get("pipefail"):
        status = next((each for each in reversed(statuses) if each), 0)
    if node.negated:
        return int(not status)
    return shell.checked(status)


def _pipe() -> Generator[Call, Any, tuple[int, int]]:
    both: tuple[int, int] = yield Pipe()
    return both


def _wait_all(pids: list[int]) -> Generator[Call, Any, list[int]]:
    statuses: list[int] = []
    for pid in pids:
        ended: Ended = yield Wait(pid)
        statuses.append(ended.status)
    return statuses


def _simple(shell: Shell, node: Simple, last: bool) -> Status:
    return shell.simple(node, last)


COMMANDS: Mapping[type[Any], Callable[[Shell, Any, bool], Status]] = MappingProxyType(
    {
        Simple: _simple,
        Pipeline: _pipeline,
        AndOr: _and_or,
        Sequence: _sequence,
        Group: _group,
        Subshell: _subshell,
        If: _if,
        Loop: _loop,
        For: _for,
        Case: _case,
        Function: _function,
    }
)
