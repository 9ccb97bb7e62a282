"""Every small fault that a module's text can be given: where, what stands there, and what stands there instead.

Pure. A mutant changes one expression or one statement of a function. Left alone is what no test
should be about: texts, annotations, `__repr__`, log lines, what only type checkers read, and assertions; and what any test
notices: an attribute that a constructor does not set.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Mutant", "mutants"]

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
_WORDS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
_SUMS: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "//"), ast.FloorDiv: ("//", "*"),
}  # fmt: skip
# what only a person reads
_LOGGING = frozenset({"debug", "info", "warning", "error", "exception"})


class Mutant(NamedTuple):
    """`path` from the repository's root; `was` stands at `start` to `end` of its UTF-8 bytes, `now` goes there. `text`: of the line.

    `function` with its class.
    """

    path: str
    function: str
    line: int
    text: str
    kind: str
    start: int
    end: int
    was: str
    now: str

    @property
    def key(self) -> str:
        """Names it as long as the code around it stays."""
        return f"{self.path}: {self.function}: {self.text}: {self.kind}: {self.was} -> {self.now}"

    def applied(self, source: bytes) -> bytes:
        """The text with the fault in it."""
        return source[: self.start] + self.now.encode() + source[self.end :]


def mutants(path: str, source: bytes) -> Iterator[Mutant]:
    """All of one module."""

    def walk(text: _Text, node: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, ast.stmt):
            yield from _of_statement(text, node)
        else:
            yield from _of_expression(text, node)
        for child in ast.iter_child_nodes(node):
            if not _left_alone(child):
                yield from walk(text, child)

    for name, function in _functions(ast.parse(source)):
        text = _Text(path, name, source)
        for statement in function.body:
            if not _left_alone(statement):
                yield from walk(text, statement)


class _Text:
    """A module's text, and the mutants at a place of a function of it."""

    def __init__(self, path: str, function: str, source: bytes) -> None:
        self._path = path
        self._function = function
        self.constructs = function.endswith(".__init__")
        self._source = source
        self._lines = source.splitlines(keepends=True)
        self._begins = [0]
        for line in self._lines:
            self._begins.append(self._begins[-1] + len(line))

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        begins = self._begins
        return begins[node.lineno - 1] + node.col_offset, begins[node.end_lineno - 1] + node.end_col_offset

    def of(self, node: ast.expr | ast.stmt) -> str:
        return self._source[slice(*self._span(node))].decode()

    def replaced(self, kind: str, node: ast.expr | ast.stmt, now: str) -> Mutant:
        return self._mutant(kind, node, *self._span(node), self.of(node), now)

    def between(self, kind: str, left: ast.expr, right: ast.expr, was: str, now: str) -> Iterator[Mutant]:
        start, end = self._span(left)[1], self._span(right)[0]
        at = self._source.find(was.encode(), start, end)
        if at >= 0:
            yield self._mutant(kind, left, at, at + len(was), was, now)

    def _mutant(self, kind: str, node: ast.expr | ast.stmt, start: int, end: int, was: str, now: str) -> Mutant:
        line = self._lines[node.lineno - 1].decode().strip()
        return Mutant(self._path, self._function, node.lineno, line, kind, start, end, was, now)


def _of_expression(text: _Text, node: ast.AST) -> Iterator[Mutant]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        operator = type(node.ops[0])
        yield from text.between("comparison", node.left, node.comparators[0], _WORDS[operator], _COMPARISONS[operator])
    elif isinstance(node, ast.BoolOp):
        was, now = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        yield from text.between("and/or", node.values[0], node.values[1], was, now)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield text.replaced("not", node, text.of(node.operand))
    elif isinstance(node, ast.BinOp) and type(node.op) in _SUMS:
        yield from text.between("arithmetic", node.left, node.right, *_SUMS[type(node.op)])
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield text.replaced("constant", node, str(not node.value))
        elif isinstance(node.value, int):
            yield text.replaced("constant", node, str(node.value + 1))
    elif isinstance(node, ast.IfExp):
        yield text.replaced("branch", node, text.of(node.body))


def _of_statement(text: _Text, node: ast.stmt) -> Iterator[Mutant]:
    if isinstance(node, ast.If | ast.While) and not isinstance(node.test, ast.Constant):
        test = text.of(node.test)
        yield text.replaced("condition", node.test, f"not ({test})")
    elif isinstance(node, ast.Break):
        yield text.replaced("loop", node, "continue")
    elif isinstance(node, ast.Continue):
        yield text.replaced("loop", node, "break")
    elif isinstance(node, ast.Expr | ast.AugAssign) and not isinstance(getattr(node, "value", None), ast.Constant):
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Await | ast.Yield | ast.YieldFrom)):
            yield text.replaced("left out", node, "pass")
    elif isinstance(node, ast.Raise) or (
        isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute) and not text.constructs
    ):
        yield text.replaced("left out", node, "pass")


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Those of the module and of its classes, with their names; what stands inside a function is walked with it."""
    for node in tree.body:
        inside = (f"{node.name}.", node.body) if isinstance(node, ast.ClassDef) else ("", [node])
        for inner in inside[1]:
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and inner.name not in {"__repr__", "__str__"}:
                yield inside[0] + inner.name, inner


def _left_alone(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert | ast.JoinedStr | ast.arguments | ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        function = node.value.func
        return isinstance(function, ast.Attribute) and function.attr in _LOGGING and _named(function.value) == "_log"
    return False


def _named(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""
