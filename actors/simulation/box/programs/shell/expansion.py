"""Expansion of words: parameters, command substitution, arithmetic, field splitting, pathname expansion.

For the interpreter, whose shell is given. Generators, since a substitution runs processes. Not for syntax.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from actors.simulation.box.kernel.calls import Call, CallFailed, ListDirectory
from actors.simulation.box.programs.shell.arithmetic import ArithmeticFault, evaluate
from actors.simulation.box.programs.shell.patterns import (
    escaped,
    is_pattern,
    matches,
    replaced,
    without_prefix,
    without_suffix,
)
from actors.simulation.box.programs.shell.state import ShellFault
from actors.simulation.box.programs.shell.syntax import Literal, Parameter, Part, Script, Substitution, Word

if TYPE_CHECKING:
    from actors.simulation.box.programs.shell.state import ShellState

__all__ = ["Expander"]

Steps: TypeAlias = Generator[Call, Any, None]
Text: TypeAlias = Generator[Call, Any, str]
# (text, quoted) pieces of one field
_Pieces: TypeAlias = list[tuple[str, bool]]
_MATCHES = 4096


class _Substitutes(Protocol):
    """What the expander needs of a shell."""

    state: ShellState

    def substitute(self, script: Script) -> Text: ...

    def flags(self) -> str: ...


class Expander:
    """See the module."""

    def __init__(self, shell: _Substitutes) -> None:
        self._shell = shell

    @property
    def _state(self) -> ShellState:
        return self._shell.state

    # whole words

    def text(self, word: Word) -> Text:
        """One string, neither split nor matched: an assignment's value, a redirection's target."""
        if word.plain is not None:
            return word.plain
        out: list[str] = []
        for at, part in enumerate(word.parts):
            value = yield from self._value(part)
            if at == 0 and isinstance(part, Literal):
                value = self._tilde(part)
            out.append(" ".join(value) if isinstance(value, list) else value)
        return "".join(out)

    def pattern(self, word: Word) -> Text:
        """The same, as a pattern: what was quoted means itself."""
        out: list[str] = []
        for part in word.parts:
            value = yield from self._value(part)
            joined = " ".join(value) if isinstance(value, list) else value
            out.append(escaped(joined) if part.quoted else joined)
        return "".join(out)

    def fields(self, words: tuple[Word, ...]) -> Generator[Call, Any, list[str]]:
        """All fields of some words, as a command's arguments are."""
        fields: list[str] = []
        for word in words:
            if word.plain is not None:
                fields.append(word.plain)
                continue
            for pieces in (yield from self._split(word)):
                yield from self._file_names(pieces, fields)
        return fields

    def _split(self, word: Word) -> Generator[Call, Any, list[_Pieces]]:
        found: list[_Pieces] = []
        current: _Pieces | None = None
        for at, part in enumerate(word.parts):
            if isinstance(part, Literal):
                text = self._tilde(part) if at == 0 else part.text
                current = [*(current or []), (text, part.quoted)]
                continue
            value = yield from self._value(part)
            if isinstance(value, list):
                for index, each in enumerate(value):
                    if index and current is not None:
                        found.append(current)
                        current = None
                    current = [*(current or []), (each, True)] if part.quoted else self._cut(each, current, found)
            elif part.quoted:
                current = [*(current or []), (value, True)]
            else:
                current = self._cut(value, current, found)
        if current is not None:
            found.append(current)
        return found

    def _cut(self, text: str, current: _Pieces | None, found: list[_Pieces]) -> _Pieces | None:
        """Split at IFS: blanks of it at the ends and in a row count for nothing, its other characters each end a field."""
        separators = self._state.variables.get("IFS", " \t\n")
        blanks = [char for char in separators if char in " \t\n"]
        at = 0
        while at < len(text):
            char = text[at]
            if char in blanks:
                while at < len(text) and text[at] in blanks:
                    at += 1
                # one other character belongs to the blanks around it
                if at < len(text) and text[at] in separators:
                    continue
                if current is not None:
                    found.append(current)
                    current = None
            elif char in separators:
                found.append(current if current is not None else [("", False)])
                current = None
                at += 1
                while at < len(text) and text[at] in blanks:
                    at += 1
            else:
                end = at
                while end < len(text) and text[end] not in separators:
                    end += 1
                current = [*(current or []), (text[at:end], False)]
                at = end
        return current

    def _tilde(self, part: Literal) -> str:
        if part.quoted or not part.text.startswith("~") or part.text[1:2] not in ("", "/"):
            return part.text
        return self._state.variables.get("HOME", "~") + part.text[1:]

    # file names

    def _file_names(self, pieces: _Pieces, fields: list[str]) -> Steps:
        text = "".join(piece for piece, _ in pieces)
        if self._state.options.get("f") or all(quoted for _, quoted in pieces):
            fields.append(text)
            return
        pattern = "".join(escaped(piece) if quoted else piece for piece, quoted in pieces)
        if not is_pattern(pattern):
            fields.append(text)
            return
        found = [""]
        for level, part in enumerate(pattern.split("/")):
            below: list[str] = []
            for base in found:
                prefix = f"{base}/" if level else ""
                if not is_pattern(part):
                    below.append(prefix + part.replace("\\", ""))
                    continue
                try:
                    names = yield ListDirectory(prefix or ".")
                except CallFailed:
                    continue
                below += [prefix + name for name in names if self._is_shown(part, name) and matches(part, name)]
            found = below[:_MATCHES]
        existing: list[str] = []
        for each in found:
            try:
                listed = yield ListDirectory(posixpath.dirname(each) or ".")
            except CallFailed:
                continue
            if posixpath.basename(each) in listed or not posixpath.basename(each):
                existing.append(each)
        fields += existing or [text]

    def _is_shown(self, pattern: str, name: str) -> bool:
        return not name.startswith(".") or pattern.startswith(".")

    # parts

    def _value(self, part: Part) -> Generator[Call, Any, str | list[str]]:
        """A string, or several for `$@` (and `$*` without quotes)."""
        if isinstance(part, Literal):
            return part.text
        if isinstance(part, Parameter):
            return (yield from self._parameter(part))
        if isinstance(part, Substitution):
            return (yield from self._shell.substitute(part.script))
        expression = part.expression.plain
        if expression is None:
            expression = yield from self.text(part.expression)
        return str(self.arithmetic(expression))

    def arithmetic(self, expression: str) -> int:
        """Raises: ShellFault."""
        try:
            return evaluate(expression, self._number_of, self._state.set)
        except ArithmeticFault as fault:
            raise ShellFault(str(fault)) from None

    def _number_of(self, name: str) -> str:
        return self._state.variables.get(name, "")

    def _lookup(self, name: str) -> str | list[str] | None:
        state = self._state
        if name in ("@", "*"):
            return list(state.positional)
        special = _SPECIAL.get(name)
        if special is not None:
            return special(state)
        if name == "-":
            return self._shell.flags()
        if name.isdecimal():
            number = int(name)
            return state.positional[number - 1] if number <= len(state.positional) else None
        if name == "RANDOM":
            state.random = (state.random * 1103515245 + 12345) & 0x7FFFFFFF
            return str(state.random >> 16)
        return state.variables.get(name)

    def _parameter(self, part: Parameter) -> Generator[Call, Any, str | list[str]]:
        name, operator = part.name, part.operator
        value = self._lookup(name)
        if isinstance(value, list):
            if not operator or (operator in (":-", "-", ":+", "+") and bool(value) == (operator[-1] == "-")):
                return self._joined(value) if name == "*" and part.quoted else value
            if operator == "length":
                return str(len(value))
            value = " ".join(value) if value else None
        if operator == "length":
            return str(len(value or ""))
        if operator in _TESTS:
            return (yield from self._tested(part, value))
        if value is None:
            if self._state.options.get("u"):
                raise ShellFault(f"{name}: parameter not set")
            value = ""
        if not operator:
            return value
        return (yield from self._changed(part, value))

    def _joined(self, values: list[str]) -> str:
        return self._state.variables.get("IFS", " ")[:1].join(values)

    def _tested(self, part: Parameter, value: str | None) -> Text:
        assert part.argument is not None
        missing = value is None or (part.operator.startswith(":") and not value)
        kind = part.operator[-1]
        if kind == "+":
            return "" if missing else (yield from self.text(part.argument))
        if not missing:
            return value or ""
        argument = yield from self.text(part.argument)
        if kind == "?":
            raise ShellFault(
                f"{part.name}: {argument or 'parameter not set' + (' or null' if part.operator == ':?' else '')}"
            )
        if kind == "=":
            self._state.set(part.name, argument)
        return argument

    def _changed(self, part: Parameter, value: str) -> Text:
        assert part.argument is not None
        operator = part.operator
        if operator == ":":
            start = self.arithmetic((yield from self.text(part.argument)))
            start = max(0, len(value) + start) if start < 0 else start
            if part.second is None:
                return value[start:]
            length = self.arithmetic((yield from self.text(part.second)))
            return value[start : start + length] if length >= 0 else value[start : len(value) + length]
        pattern = yield from self.pattern(part.argument)
        if operator.startswith("%"):
            return without_suffix(pattern, value, longest=operator == "%%")
        if operator.startswith("#"):
            return without_prefix(pattern, value, longest=operator == "##")
        new = "" if part.second is None else (yield from self.text(part.second))
        return replaced(pattern, value, new, every=operator == "//")


_TESTS = (":-", "-", ":=", "=", ":?", "?", ":+", "+")
_SPECIAL: dict[str, Callable[[ShellState], str]] = {
    "?": lambda state: str(state.status),
    "$": lambda state: str(state.pid),
    "!": lambda state: str(state.background) if state.background else "",
    "#": lambda state: str(len(state.positional)),
    "0": lambda state: state.name,
}
