"""`test` and `[`: evaluates one expression.

For the shell's builtins and the programs of the same names. A generator, since it looks at files and terminals.
"""

from __future__ import annotations

import operator
import posixpath
from typing import TYPE_CHECKING, Any, TypeAlias

from actors.simulation.box.kernel.calls import Call, CallFailed, Status, WindowSize

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from actors.simulation.box.kernel.tree import FileStatus

__all__ = ["ConditionFault", "holds"]

_Holds: TypeAlias = "Generator[Call, Any, bool]"
_UNARY = ("-n", "-z", "-e", "-f", "-d", "-s", "-r", "-w", "-x", "-t", "-c", "-b", "-p", "-S", "-h", "-L")
_STRINGS: dict[str, Callable[[str, str], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "-eq": operator.eq,
    "-ne": operator.ne,
    "-lt": operator.lt,
    "-le": operator.le,
    "-gt": operator.gt,
    "-ge": operator.ge,
}
_NESTED = 50


class ConditionFault(Exception):
    """A syntax error in an expression."""


def holds(words: list[str]) -> _Holds:
    """Whether it does. Raises: ConditionFault."""
    if not words:
        return False
    condition = _Condition(words)
    value = yield from condition.either()
    if condition.rest():
        raise ConditionFault(f"{condition.rest()[0]}: unknown operand")
    return value


class _Condition:
    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._at = 0
        self._depth = 0

    def rest(self) -> list[str]:
        return self._words[self._at :]

    def _take(self) -> str:
        if self._at >= len(self._words):
            raise ConditionFault("argument expected")
        self._at += 1
        return self._words[self._at - 1]

    def either(self) -> _Holds:
        value = yield from self._both()
        while self.rest()[:1] == ["-o"]:
            self._at += 1
            right = yield from self._both()
            value = value or right
        return value

    def _both(self) -> _Holds:
        value = yield from self._not()
        while self.rest()[:1] == ["-a"]:
            self._at += 1
            right = yield from self._not()
            value = value and right
        return value

    def _not(self) -> _Holds:
        negated = False
        while self.rest()[:1] == ["!"] and len(self.rest()) > 1 and self.rest()[1] not in _STRINGS:
            self._at += 1
            negated = not negated
        return negated ^ (yield from self._primary())

    def _primary(self) -> _Holds:
        rest = self.rest()
        if len(rest) >= 3 and (rest[1] in _STRINGS or rest[1] in _NUMBERS):
            left, name, right = self._take(), self._take(), self._take()
            if name in _STRINGS:
                return _STRINGS[name](left, right)
            return _NUMBERS[name](_number(left), _number(right))
        if rest[:1] == ["("] and len(rest) > 1:
            self._depth += 1
            if self._depth > _NESTED:
                raise ConditionFault("too many parentheses")
            self._take()
            value = yield from self.either()
            if self.rest()[:1] != [")"]:
                raise ConditionFault("closing paren expected")
            self._take()
            self._depth -= 1
            return value
        if len(rest) >= 2 and rest[0] in _UNARY:
            return (yield from self._unary(self._take(), self._take()))
        return self._take() != ""

    def _unary(self, name: str, operand: str) -> _Holds:
        if name in ("-n", "-z"):
            return (operand != "") is (name == "-n")
        if name == "-t":
            try:
                yield WindowSize(_number(operand))
            except CallFailed:
                return False
            return True
        status: FileStatus | None = yield Status(operand)
        if status is None:
            return False
        return {
            "-f": status.kind == "file",
            "-d": status.kind == "directory",
            "-c": status.kind == "device",
            "-s": status.size > 0 or status.kind == "directory",
            "-x": status.executable or status.kind == "directory",
        }.get(name, name in ("-e", "-r", "-w"))


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConditionFault(f"{posixpath.basename(text)}: bad number") from None
