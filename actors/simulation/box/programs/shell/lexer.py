"""Tokens and words of a script's text, with all of the shell's quoting.

For the parser, which takes token by token and is called back for the text inside `$(...)`. Pure. Not for grammar.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from actors.simulation.box.programs.shell.syntax import (
    Arithmetic,
    Literal,
    NotSupported,
    Parameter,
    Part,
    Redirect,
    Script,
    Substitution,
    SyntaxFault,
    Word,
)

__all__ = ["Depth", "Lexer", "Nested", "Token", "is_name"]

# parses from a position in the text up to the `)` that is not its own: (script, position after it)
Nested: TypeAlias = Callable[[str, int], tuple[Script, int]]

_DEPTH = 30
_OPERATORS = (
    "<<-",
    "&&",
    "&>",
    "||",
    ";;",
    "<<",
    ">>",
    "<&",
    ">&",
    "<>",
    ">|",
    ";",
    "&",
    "|",
    "(",
    ")",
    "<",
    ">",
    "\n",
)
_ENDS_WORD = frozenset(" \t\n;&|<>()")
_SPECIAL = "@*#?-$!0123456789"
_ESCAPED_IN_QUOTES = '$`"\\\n'
_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "e": "\x1b",
    "\\": "\\",
    "'": "'",
    '"': '"',
}
_GLOB = frozenset("*?[")
_MODIFIERS = (":-", ":=", ":?", ":+", "-", "=", "?", "+", "%%", "%", "##", "#", "//", "/", ":")


@dataclass(frozen=True, slots=True)
class Token:
    """`kind`: `word`, `fd` (a number right before a redirection), `operator`, or `end`. `text` is a word's only when nothing in it is quoted."""

    kind: str
    text: str
    word: Word | None = None


class Depth:
    """How deep commands and expansions are nested: text of nothing but brackets must not exhaust our own stack."""

    def __init__(self) -> None:
        self._level = 0

    def __enter__(self) -> None:
        """Raises: NotSupported."""
        if self._level >= _DEPTH:
            raise NotSupported(f"nesting deeper than {_DEPTH}")
        self._level += 1

    def __exit__(self, *_: object) -> None:
        self._level -= 1


class Lexer:
    """Reads `text` from `at` on."""

    def __init__(self, text: str, at: int, nested: Nested, depth: Depth) -> None:
        self._text = text
        self.at = at
        self._nested = nested
        self._depth = depth
        self._peeked: tuple[Token, int] | None = None
        self._documents: list[Redirect] = []

    # tokens

    def peek(self) -> Token:
        """The next token; it stays the next."""
        if self._peeked is None:
            start = self.at
            token = self._token()
            self._peeked = token, self.at
            self.at = start
        return self._peeked[0]

    def next(self) -> Token:
        """The next token; here-documents that were promised are read after the end of their line."""
        token = self.peek()
        assert self._peeked is not None
        self.at, self._peeked = self._peeked[1], None
        if token.text == "\n" and token.kind == "operator" and self._documents:
            self._read_documents()
        return token

    def expect_document(self, redirect: Redirect) -> None:
        """Its text comes after this line."""
        self._documents.append(redirect)

    def follows(self, text: str) -> bool:
        """Whether this text comes right after the last token that was taken."""
        return self._text.startswith(text, self.at)

    def _token(self) -> Token:
        self._skip_blanks()
        text, at = self._text, self.at
        if at >= len(text):
            return Token("end", "")
        for operator in _OPERATORS:
            if text.startswith(operator, at):
                if text.startswith(("<(", ">("), at):
                    raise NotSupported("<(...)")
                self.at += len(operator)
                return Token("operator", operator)
        word = self._word("")
        raw = word.plain if word.plain is not None and word.plain == text[at : self.at] else ""
        if raw.isdecimal() and self.at < len(text) and text[self.at] in "<>":
            return Token("fd", raw)
        return Token("word", raw, word)

    def _skip_blanks(self) -> None:
        text = self._text
        while self.at < len(text):
            if text[self.at] in " \t":
                self.at += 1
            elif text.startswith("\\\n", self.at):
                self.at += 2
            elif text[self.at] == "#":
                end = text.find("\n", self.at)
                self.at = len(text) if end < 0 else end
            else:
                return

    # words

    def _word(self, end: str) -> Word:
        """Up to a blank or an operator; with `end`, up to that character, whatever else comes."""
        text = self._text
        parts: list[Part] = []
        plain: list[str] = []

        def flush() -> None:
            if plain:
                parts.append(Literal("".join(plain)))
                plain.clear()

        while True:
            if self.at >= len(text):
                if end:
                    raise SyntaxFault("syntax error: missing '}'", incomplete=True)
                break
            char = text[self.at]
            if char == end or (not end and char in _ENDS_WORD):
                break
            if char == "\\":
                self.at += 2
                if text[self.at - 1 : self.at] != "\n":
                    flush()
                    parts.append(Literal(text[self.at - 1 : self.at] or "\\", quoted=True))
            elif char == "'":
                flush()
                parts.append(Literal(self._until("'"), quoted=True))
            elif char == '"':
                flush()
                self.at += 1
                parts += self._double_quoted() or [Literal("", quoted=True)]
            elif char == "$" and text.startswith("$'", self.at):
                flush()
                self.at += 1
                parts.append(Literal(_unescape(self._until("'", escapes=True)), quoted=True))
            elif char in "$`":
                found = self._expansion(quoted=False)
                if found is None:
                    plain.append("$")
                else:
                    flush()
                    parts.append(found)
            else:
                plain.append(char)
                self.at += 1
        flush()
        return make_word(parts)

    def _until(self, quote: str, *, escapes: bool = False) -> str:
        """The text between two quotes, the first of which is next."""
        text, start = self._text, self.at + 1
        at = start
        while at < len(text) and text[at] != quote:
            at += 2 if escapes and text[at] == "\\" else 1
        if at >= len(text):
            raise SyntaxFault("syntax error: unterminated quoted string", incomplete=True)
        self.at = at + 1
        return text[start:at]

    def _double_quoted(self) -> list[Part]:
        parts = self._quoted_parts('"', _ESCAPED_IN_QUOTES)
        self.at += 1
        return parts

    def _quoted_parts(self, end: str, escaped: str) -> list[Part]:
        """Parts up to `end`, or to the text's end when that is empty; blanks and single quotes mean nothing."""
        text = self._text
        parts: list[Part] = []
        plain: list[str] = []
        while True:
            if self.at >= len(text):
                if end:
                    raise SyntaxFault("syntax error: unterminated quoted string", incomplete=True)
                break
            char = text[self.at]
            if char == end:
                break
            if char == "\\" and self.at + 1 < len(text) and text[self.at + 1] in escaped:
                if text[self.at + 1] != "\n":
                    plain.append(text[self.at + 1])
                self.at += 2
            elif char in "$`":
                found = self._expansion(quoted=True)
                if found is None:
                    plain.append("$")
                    continue
                if plain:
                    parts.append(Literal("".join(plain), quoted=True))
                    plain.clear()
                parts.append(found)
            else:
                plain.append(char)
                self.at += 1
        if plain:
            parts.append(Literal("".join(plain), quoted=True))
        return parts

    # expansions

    def _expansion(self, *, quoted: bool) -> Part | None:
        """What begins with the `$` or backquote that is next; None for a `$` that is just one."""
        text = self._text
        if text[self.at] == "`":
            return self._backquoted(quoted)
        if text.startswith("$((", self.at):
            found = self._arithmetic(quoted)
            if found is not None:
                return found
        if text.startswith("$(", self.at):
            script, self.at = self._nested(text, self.at + 2)
            return Substitution(script, quoted)
        if text.startswith("${", self.at):
            self.at += 2
            with self._depth:
                return self._braced(quoted)
        self.at += 1
        name = self._name()
        return Parameter(name, quoted) if name else None

    def _name(self, *, many_digits: bool = False) -> str:
        text, start = self._text, self.at
        if start < len(text) and text[start] in _SPECIAL:
            self.at += 1
            while many_digits and text[start].isdecimal() and self.at < len(text) and text[self.at].isdecimal():
                self.at += 1
        elif start < len(text) and (text[start].isalpha() or text[start] == "_") and text[start].isascii():
            while self.at < len(text) and text[self.at].isascii() and (text[self.at].isalnum() or text[self.at] == "_"):
                self.at += 1
        return text[start : self.at]

    def _backquoted(self, quoted: bool) -> Part:
        raw = self._until("`", escapes=True)
        for char in "\\`$" + ('"' if quoted else ""):
            raw = raw.replace("\\" + char, char)
        script, _ = self._nested(raw + "\n)", 0)
        return Substitution(script, quoted)

    def _arithmetic(self, quoted: bool) -> Part | None:
        """None when it is a command substitution that begins with a subshell."""
        text, at, depth = self._text, self.at + 3, 0
        while at < len(text):
            if text[at] == "(":
                depth += 1
            elif text[at] == ")":
                if depth == 0:
                    break
                depth -= 1
            at += 1
        if not text.startswith("))", at):
            if at + 1 >= len(text):
                raise SyntaxFault("syntax error: missing '))'", incomplete=True)
            return None
        inner = Lexer(text[self.at + 3 : at], 0, self._nested, self._depth)
        self.at = at + 2
        with self._depth:
            return Arithmetic(make_word(inner._quoted_parts("", _ESCAPED_IN_QUOTES)), quoted)

    def _braced(self, quoted: bool) -> Part:
        text = self._text
        if text.startswith("#", self.at) and not text.startswith(("#}", "#-", "#:", "##", "#%"), self.at):
            self.at += 1
            name = self._name(many_digits=True)
            self._close_brace(name)
            return Parameter(name, quoted, "length")
        name = self._name(many_digits=True)
        if not name:
            raise SyntaxFault("syntax error: bad substitution")
        for operator in _MODIFIERS:
            if text.startswith(operator, self.at):
                self.at += len(operator)
                return self._modified(name, quoted, operator)
        self._close_brace(name)
        return Parameter(name, quoted)

    def _modified(self, name: str, quoted: bool, operator: str) -> Part:
        second: Word | None = None
        if operator in ("/", "//", ":"):
            argument, closer = self._argument("/" if operator != ":" else ":", quoted)
            if closer != "}":
                second, _ = self._argument("", quoted)
        else:
            argument, _ = self._argument("", quoted and not operator.startswith(("%", "#")))
        return Parameter(name, quoted, operator, argument, second)

    def _argument(self, separator: str, quoted: bool) -> tuple[Word, str]:
        """Up to the closing brace or the separator, which is taken; in double quotes its blanks are kept."""
        text, start = self._text, self.at
        word = self._word_until(frozenset("}" + separator), quoted)
        if self.at >= len(text):
            raise SyntaxFault(f"syntax error: missing '}}' after {text[start : start + 20]!r}", incomplete=True)
        closer = text[self.at]
        self.at += 1
        return word, closer

    def _word_until(self, ends: frozenset[str], quoted: bool) -> Word:
        parts: list[Part] = []
        text = self._text
        while self.at < len(text) and text[self.at] not in ends:
            if text[self.at] == '"':
                self.at += 1
                parts += self._double_quoted() or [Literal("", quoted=True)]
            elif text[self.at] == "'" and not quoted:
                parts.append(Literal(self._until("'"), quoted=True))
            elif text[self.at] == "\\" and self.at + 1 < len(text):
                parts.append(Literal(text[self.at + 1], quoted=True))
                self.at += 2
            elif text[self.at] in "$`":
                parts.append(self._expansion(quoted=quoted) or Literal("$", quoted))
            else:
                parts.append(Literal(text[self.at], quoted))
                self.at += 1
        return make_word(parts)

    def _close_brace(self, name: str) -> None:
        if not name or not self._text.startswith("}", self.at):
            if self.at >= len(self._text):
                raise SyntaxFault("syntax error: missing '}'", incomplete=True)
            raise SyntaxFault("syntax error: bad substitution")
        self.at += 1

    # here-documents

    def _read_documents(self) -> None:
        documents, self._documents = self._documents, []
        for redirect in documents:
            lines: list[str] = []
            while True:
                if self.at >= len(self._text):
                    break
                end = self._text.find("\n", self.at)
                end = len(self._text) if end < 0 else end
                line = self._text[self.at : end]
                self.at = min(end + 1, len(self._text))
                line = line.lstrip("\t") if redirect.operator == "<<-" else line
                if line == redirect.delimiter:
                    break
                lines.append(line + ("\n" if end < len(self._text) else ""))
            body = "".join(lines)
            if redirect.literal:
                redirect.target = make_word([Literal(body, quoted=True)])
            else:
                inner = Lexer(body, 0, self._nested, self._depth)
                redirect.target = make_word(inner._quoted_parts("", "$`\\\n"))


def make_word(parts: list[Part]) -> Word:
    """Literal neighbours joined, and what it says worked out where nothing is to be expanded."""
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, Literal) and isinstance(last, Literal) and part.quoted == last.quoted:
            joined[-1] = Literal(last.text + part.text, part.quoted)
        else:
            joined.append(part)
    plain: str | None = ""
    for part in joined:
        if not isinstance(part, Literal) or (not part.quoted and not _GLOB.isdisjoint(part.text)):
            plain = None
            break
        plain = (plain or "") + part.text
    first = joined[0] if joined else None
    if isinstance(first, Literal) and not first.quoted and first.text.startswith("~"):
        plain = None
    return Word(tuple(joined), plain)


def is_name(text: str) -> bool:
    """Whether a variable can be called that."""
    return text.isascii() and text.isidentifier()


def _unescape(text: str) -> str:
    """The escapes of `$'...'`."""
    out: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char != "\\" or at >= len(text):
            out.append(char)
            continue
        char = text[at]
        at += 1
        if char == "x":
            digits = text[at : at + 2]
            out.append(chr(int(digits, 16)) if digits else "\\x")
            at += len(digits)
        elif char in "01234567":
            digits = char
            while len(digits) < 3 and at < len(text) and text[at] in "01234567":
                digits += text[at]
                at += 1
            out.append(chr(int(digits, 8) & 0xFF))
        else:
            out.append(_ESCAPES.get(char, "\\" + char))
    return "".join(out)
