"""Shell arithmetic: `$((...))` over 64-bit integers. Pure; variables are read and set through the caller's functions.

For the interpreter. Parsed expressions are cached, as loops evaluate the same ones again. Not for the shell's expansions, which come
before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TypeAlias

__all__ = ["ArithmeticFault", "evaluate"]

_DEPTH = 20
_TOKEN = re.compile(
    r"\s*(?:(0[xX][0-9a-fA-F]+|[0-9]+)|([A-Za-z_][A-Za-z0-9_]*)|(<<=|>>=|\*\*|\+\+|--|&&|\|\||<=|>=|==|!=|<<|>>|[-+*/%&^|]=|[-+*/%<>!~&^|?:=(),]))"
)
# lowest first; all of them bind to the left
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<", "<=", ">", ">="), ("<<", ">>"), ("+", "-"), ("*", "/", "%"),
)  # fmt: skip
_ASSIGNS = ("=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "^=", "|=")


class ArithmeticFault(Exception):
    """An expression can't be read, or divides by zero."""


@dataclass(frozen=True, slots=True)
class _Number:
    value: int


@dataclass(frozen=True, slots=True)
class _Name:
    name: str


@dataclass(frozen=True, slots=True)
class _Unary:
    operator: str
    operand: _Tree


@dataclass(frozen=True, slots=True)
class _Chain:
    """Operators of one level, from the left."""

    first: _Tree
    rest: tuple[tuple[str, _Tree], ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    condition: _Tree
    yes: _Tree
    no: _Tree


@dataclass(frozen=True, slots=True)
class _Assign:
    name: str
    operator: str
    value: _Tree


_Tree: TypeAlias = _Number | _Name | _Unary | _Chain | _Choice | _Assign
Get: TypeAlias = Callable[[str], str]
Set: TypeAlias = Callable[[str, str], None]


def evaluate(text: str, get: Get, put: Set) -> int:
    """The value. `get` gives a variable's text, empty when it has none. Raises: ArithmeticFault."""
    return _value(_parsed(text), get, put, 0)


@lru_cache(maxsize=512)
def _parsed(text: str) -> _Tree:
    tokens: list[str] = []
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            raise ArithmeticFault("arithmetic syntax error")
        tokens.append(found.group(0).strip())
        at = found.end()
    if not tokens:
        return _Number(0)
    parser = _Expression(tokens)
    tree = parser.comma_expression()
    if parser.peek():
        raise ArithmeticFault("arithmetic syntax error")
    return tree


class _Expression:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def peek(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self.peek()
        if not token:
            raise ArithmeticFault("arithmetic syntax error")
        self._at += 1
        return token

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEPTH:
            raise ArithmeticFault("expression recursion level exceeded")

    def comma_expression(self) -> _Tree:
        """Expressions between commas: the last counts."""
        return self._chain((",",), self.assignment)

    def _chain(self, operators: tuple[str, ...], operand: Callable[[], _Tree]) -> _Tree:
        first = operand()
        rest: list[tuple[str, _Tree]] = []
        while self.peek() in operators:
            operator = self._next()
            rest.append((operator, operand()))
        return _Chain(first, tuple(rest)) if rest else first

    def assignment(self) -> _Tree:
        self._deeper()
        name = self.peek()
        if name.isidentifier() and self.peek(1) in _ASSIGNS:
            self._at += 1
            operator = self._next()
            tree: _Tree = _Assign(name, operator[:-1], self.assignment())
        else:
            tree = self._choice()
        self._depth -= 1
        return tree

    def _choice(self) -> _Tree:
        condition = self._binary(0)
        if self.peek() != "?":
            return condition
        self._next()
        yes = self.assignment()
        if self._next() != ":":
            raise ArithmeticFault("arithmetic syntax error")
        return _Choice(condition, yes, self.assignment())

    def _binary(self, level: int) -> _Tree:
        if level == len(_LEVELS):
            return self._power()
        return self._chain(_LEVELS[level], partial(self._binary, level + 1))

    def _power(self) -> _Tree:
        """Binds to the right."""
        base = self._unary()
        if self.peek() != "**":
            return base
        self._deeper()
        self._next()
        tree = _Chain(base, (("**", self._power()),))
        self._depth -= 1
        return tree

    def _unary(self) -> _Tree:
        token = self._next()
        if token in ("-", "+", "!", "~", "++", "--"):
            self._deeper()
            operand = self._unary()
            self._depth -= 1
            if token in ("++", "--"):
                if not isinstance(operand, _Name):
                    raise ArithmeticFault("arithmetic syntax error")
                return _Assign(operand.name, token[0], _Number(1))
            return _Unary(token, operand)
        if token == "(":
            inner = self.comma_expression()
            if self._next() != ")":
                raise ArithmeticFault("arithmetic syntax error")
            return inner
        if token[0].isdecimal():
            return _Number(_number(token))
        if not token.isidentifier():
            raise ArithmeticFault("arithmetic syntax error")
        if self.peek() in ("++", "--"):
            step = self._next()[0]
            # the old value: what was assigned, taken back
            back = "-" if step == "+" else "+"
            return _Chain(_Assign(token, step, _Number(1)), ((back, _Number(1)),))
        return _Name(token)


def _number(text: str) -> int:
    try:
        return _wrapped(int(text, 16 if text[:2].lower() == "0x" else 8 if text[0] == "0" else 10))
    except ValueError:
        raise ArithmeticFault("arithmetic syntax error") from None


def _wrapped(value: int) -> int:
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def _value(tree: _Tree, get: Get, put: Set, depth: int) -> int:
    if isinstance(tree, _Number):
        return tree.value
    if isinstance(tree, _Name):
        return _variable(tree.name, get, put, depth)
    if isinstance(tree, _Assign):
        value = _value(tree.value, get, put, depth)
        if tree.operator:
            value = _combined(tree.operator, _variable(tree.name, get, put, depth), value)
        put(tree.name, str(value))
        return value
    if isinstance(tree, _Unary):
        value = _value(tree.operand, get, put, depth)
        return {"-": _wrapped(-value), "+": value, "!": int(not value), "~": ~value}[tree.operator]
    if isinstance(tree, _Choice):
        return _value(tree.yes if _value(tree.condition, get, put, depth) else tree.no, get, put, depth)
    value = _value(tree.first, get, put, depth)
    for operator, operand in tree.rest:
        if operator in ("&&", "||"):
            # the right side is not even looked at once the left one has decided
            value = int(bool(value) if bool(value) is (operator == "||") else bool(_value(operand, get, put, depth)))
        else:
            value = _combined(operator, value, _value(operand, get, put, depth))
    return value


def _variable(name: str, get: Get, put: Set, depth: int) -> int:
    text = get(name).strip()
    if text.isascii() and text.isdecimal() and (text[0] != "0" or text == "0"):
        return _wrapped(int(text))
    if not text:
        return 0
    if depth > 20:
        raise ArithmeticFault("expression recursion loop detected")
    return _value(_parsed(text), get, put, depth + 1)


def _combined(operator: str, left: int, right: int) -> int:
    if operator in ("/", "%"):
        if right == 0:
            raise ArithmeticFault("divide by zero")
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return _wrapped(quotient if operator == "/" else left - quotient * right)
    if operator in ("<<", ">>"):
        return _wrapped(left << (right & 63) if operator == "<<" else left >> (right & 63))
    if operator == "**":
        return _wrapped(pow(left, right, 1 << 64)) if right >= 0 else 0
    return _wrapped(int(_PLAIN[operator](left, right)))


_PLAIN: dict[str, Callable[[int, int], int]] = {
    ",": lambda left, right: right,
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "&": lambda left, right: left & right,
    "|": lambda left, right: left | right,
    "^": lambda left, right: left ^ right,
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
}
