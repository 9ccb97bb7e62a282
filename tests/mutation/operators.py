"""Every small fault that a module's text can be given: where, what stands there, and what stands there instead.

Pure. A mutant changes one expression or one statement of a function. Left alone is what no test
should be about: texts, annotations, `__repr__`, log lines, what only type checkers read, and assertions.
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
    """`path` from the repository's root; `was` stands at `start` to `end` of its UTF-8 bytes, `now` goes there. `text`: of the line."""

    path: str
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
        return f"{self.path}: {self.text}: {self.kind}: {self.was} -> {self.now}"

    def applied(self, source: bytes) -> bytes:
        """The text with the fault in it."""
        return source[: self.start] + self.now.encode() + source[self.end :]


def mutants(path: str, source: bytes) -> Iterator[Mutant]:
    """All of one module."""
    lines = source.splitlines(keepends=True)
    begins = [0]
    for line in lines:
        begins.append(begins[-1] + len(line))

    def text(line: int) -> str:
        return lines[line - 1].decode().strip()

    def span(node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return begins[node.lineno - 1] + node.col_offset, begins[node.end_lineno - 1] + node.end_col_offset

    def replaced(kind: str, node: ast.expr | ast.stmt, now: str) -> Mutant:
        start, end = span(node)
        return Mutant(path, node.lineno, text(node.lineno), kind, start, end, source[start:end].decode(), now)

    def between(kind: str, left: ast.expr, right: ast.expr, was: str, now: str) -> Iterator[Mutant]:
        start, end = span(left)[1], span(right)[0]
        at = source.find(was.encode(), start, end)
        if at >= 0:
            yield Mutant(path, left.lineno, text(left.lineno), kind, at, at + len(was), was, now)

    def of_expression(node: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            operator = type(node.ops[0])
            yield from between("comparison", node.left, node.comparators[0], _WORDS[operator], _COMPARISONS[operator])
        elif isinstance(node, ast.BoolOp):
            was, now = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            yield from between("and/or", node.values[0], node.values[1], was, now)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield replaced("not", node, source[slice(*span(node.operand))].decode())
        elif isinstance(node, ast.BinOp) and type(node.op) in _SUMS:
            yield from between("arithmetic", node.left, node.right, *_SUMS[type(node.op)])
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, bool):
                yield replaced("constant", node, str(not node.value))
            elif isinstance(node.value, int):
                yield replaced("constant", node, str(node.value + 1))
        elif isinstance(node, ast.IfExp):
            yield replaced("branch", node, source[slice(*span(node.body))].decode())

    def of_statement(node: ast.stmt) -> Iterator[Mutant]:
        if isinstance(node, ast.If | ast.While) and not isinstance(node.test, ast.Constant):
            test = source[slice(*span(node.test))].decode()
            yield replaced("condition", node.test, f"not ({test})")
        elif isinstance(node, ast.Break):
            yield replaced("loop", node, "continue")
        elif isinstance(node, ast.Continue):
            yield replaced("loop", node, "break")
        elif isinstance(node, ast.Expr | ast.AugAssign) and not isinstance(getattr(node, "value", None), ast.Constant):
            if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Await | ast.Yield | ast.YieldFrom)):
                yield replaced("left out", node, "pass")
        elif isinstance(node, ast.Raise) or (
            isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute)
        ):
            yield replaced("left out", node, "pass")

    def walk(node: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, ast.stmt):
            yield from of_statement(node)
        else:
            yield from of_expression(node)
        for child in ast.iter_child_nodes(node):
            if not _left_alone(child):
                yield from walk(child)

    for function in _functions(ast.parse(source)):
        for statement in function.body:
            if not _left_alone(statement):
                yield from walk(statement)


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Those of the module and of its classes; what stands inside a function is walked with it."""
    for node in tree.body:
        for inner in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and inner.name not in {"__repr__", "__str__"}:
                yield inner


def _left_alone(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert | ast.JoinedStr | ast.arguments | ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        function = node.value.func
        return isinstance(function, ast.Attribute) and function.attr in _LOGGING and _named(function.value) == "_log"
    return False


def _named(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""
