"""The syntax tree of a shell script: words with their parts, and commands.

Made by `parser`, run by `interpreter`. Immutable once parsed, so that a parsed script can be shared by all shells. Not
for evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = [
    "AndOr",
    "Arithmetic",
    "Case",
    "For",
    "Function",
    "Group",
    "If",
    "Literal",
    "Loop",
    "Node",
    "NotSupported",
    "Parameter",
    "Part",
    "Pipeline",
    "Redirect",
    "Script",
    "Sequence",
    "Simple",
    "Subshell",
    "Substitution",
    "SyntaxFault",
    "Word",
]


class SyntaxFault(Exception):
    """A script can't be read. `incomplete`: more text could mend it."""

    def __init__(self, message: str, *, incomplete: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.incomplete = incomplete


class NotSupported(SyntaxFault):
    """Valid shell syntax that this shell does not support."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not supported in a simulated shell")


@dataclass(frozen=True, slots=True)
class Literal:
    """Text as it stands; quoted, it is no pattern and is not split."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """`$name`, `${name}`, `${name operator argument}`; the operator `#` before the name is `length`."""

    name: str
    quoted: bool
    operator: str = ""
    argument: Word | None = None
    second: Word | None = None


@dataclass(frozen=True, slots=True)
class Substitution:
    """`$(script)`."""

    script: Script
    quoted: bool


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`$((expression))`; the expression's own expansions come first."""

    expression: Word
    quoted: bool


Part: TypeAlias = Literal | Parameter | Substitution | Arithmetic


@dataclass(frozen=True, slots=True)
class Word:
    """One word. `plain`: what it says when nothing in it has to be expanded, else None."""

    parts: tuple[Part, ...]
    plain: str | None = None


@dataclass(slots=True)
class Redirect:
    """`fd operator target`; the text of a here-document is its target, and is known only after the line's end."""

    fd: int
    operator: str
    target: Word
    # of a here-document: the word that ends it, and whether it was quoted
    delimiter: str = ""
    literal: bool = False


@dataclass(frozen=True, slots=True)
class Simple:
    """Assignments, then a command and its arguments; either may be missing."""

    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands joined by `|`; one alone only when negated."""

    commands: tuple[Node, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class AndOr:
    """Commands joined by `&&` and `||`: the first, and (operator, command) for each other."""

    first: Node
    rest: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    """Commands one after the other; (command, whether it runs in the background)."""

    items: tuple[tuple[Node, bool], ...]


@dataclass(frozen=True, slots=True)
class Group:
    """`{ body; }`."""

    body: Node
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True, slots=True)
class Subshell:
    """`( body )`."""

    body: Node
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True, slots=True)
class If:
    """(condition, body) for each branch, and the else."""

    branches: tuple[tuple[Node, Node], ...]
    otherwise: Node | None
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """`while`, or `until`."""

    condition: Node
    body: Node
    until: bool
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True, slots=True)
class For:
    """Without words: over the positional parameters."""

    name: str
    words: tuple[Word, ...] | None
    body: Node
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """(patterns, body) for each."""

    word: Word
    items: tuple[tuple[tuple[Word, ...], Node | None], ...]
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """`name() body`."""

    name: str
    body: Node


Node: TypeAlias = Simple | Pipeline | AndOr | Sequence | Group | Subshell | If | Loop | For | Case | Function


@dataclass(frozen=True, slots=True)
class Script:
    """Whole lines, in the order in which they are run, up to what can't be read: a shell meets that only then."""

    lines: tuple[Node, ...]
    fault: SyntaxFault | None = field(default=None)
