"""The shell's grammar: parses text to a `Script`. Pure; results are cached.

For the interpreter. As in a real shell, lines before a syntax error are run. Unsupported syntax is refused by name
(`NotSupported`). Not for words: `lexer`.
"""

from __future__ import annotations

from functools import lru_cache

from actors.simulation.box.programs.shell.lexer import Depth, Lexer, Token, is_name
from actors.simulation.box.programs.shell.syntax import (
    AndOr,
    Case,
    For,
    Function,
    Group,
    If,
    Literal,
    Loop,
    Node,
    NotSupported,
    Pipeline,
    Redirect,
    Script,
    Sequence,
    Simple,
    Subshell,
    SyntaxFault,
    Word,
)

__all__ = ["parse"]

_RESERVED = frozenset(
    ["if", "then", "elif", "else", "fi", "while", "until", "do", "done", "for", "in", "case", "esac", "{", "}", "!"]
)
_REDIRECTIONS = frozenset(("&>", "<", ">", ">>", "<<", "<<-", "<&", ">&", "<>", ">|"))
_NOTHING = Sequence(())


@lru_cache(maxsize=512)
def parse(text: str) -> Script:
    """Read a whole script; a fault is part of the answer."""
    return _Parser(text, 0, Depth()).script(nested=False)


class _Parser:
    def __init__(self, text: str, at: int, depth: Depth) -> None:
        self._depth = depth
        self._lexer = Lexer(text, at, self._nested, depth)

    def _nested(self, text: str, at: int) -> tuple[Script, int]:
        with self._depth:
            inner = _Parser(text, at, self._depth)
            script = inner.script(nested=True)
        if script.fault is not None:
            raise script.fault
        return script, inner._lexer.at

    # lines

    def script(self, *, nested: bool) -> Script:
        """Everything up to the end; `nested`: up to the closing parenthesis, which is taken."""
        lines: list[Node] = []
        try:
            while True:
                self._skip_newlines()
                token = self._lexer.peek()
                if token.kind == "end":
                    if nested:
                        raise self._unexpected(token, ")")
                    return Script(tuple(lines))
                if nested and token.text == ")" and token.kind == "operator":
                    self._lexer.next()
                    return Script(tuple(lines))
                lines.append(self._line(nested=nested))
        except SyntaxFault as fault:
            return Script(tuple(lines), fault)

    def _line(self, *, nested: bool) -> Node:
        """Commands up to the end of a line."""
        items: list[tuple[Node, bool]] = []
        while True:
            command = self._and_or()
            token = self._lexer.peek()
            background = token.kind == "operator" and token.text == "&"
            items.append((command, background))
            if background or (token.kind == "operator" and token.text == ";"):
                self._lexer.next()
                token = self._lexer.peek()
            if token.kind == "end" or (nested and token.kind == "operator" and token.text == ")"):
                break
            if token.kind == "operator" and token.text == "\n":
                self._lexer.next()
                break
            if not background and self._is_fault(token):
                raise self._unexpected(token)
        return _sequence(items)

    def _is_fault(self, token: Token) -> bool:
        """Whether no command can begin with it."""
        if token.kind == "operator":
            return token.text != "(" and token.text not in _REDIRECTIONS
        return token.text in _RESERVED and token.text not in ("if", "while", "until", "for", "case", "{", "!")

    def _skip_newlines(self) -> None:
        while self._at_operator("\n"):
            self._lexer.next()

    def _at_operator(self, text: str) -> bool:
        token = self._lexer.peek()
        return token.kind == "operator" and token.text == text

    def _at_word(self, *texts: str) -> bool:
        token = self._lexer.peek()
        return token.kind == "word" and token.text in texts

    def _compound_list(self, *ends: str) -> Node:
        """Commands up to one of the reserved words (or `)`), which is left."""
        with self._depth:
            items = self._items(ends)
        if not items and ";;" not in ends:
            raise self._unexpected(self._lexer.peek())
        return _sequence(items)

    def _items(self, ends: tuple[str, ...]) -> list[tuple[Node, bool]]:
        items: list[tuple[Node, bool]] = []
        self._skip_newlines()
        while not self._at_word(*ends) and not any(self._at_operator(end) for end in ends if end in (")", ";;")):
            token = self._lexer.peek()
            if self._is_fault(token) or token.kind == "end":
                raise self._unexpected(token, ends[0] if token.kind == "end" or len(ends) == 1 else "")
            command = self._and_or()
            token = self._lexer.peek()
            background = token.kind == "operator" and token.text == "&"
            items.append((command, background))
            if token.kind == "operator" and token.text in ("&", ";", "\n"):
                self._lexer.next()
            elif not (")" in ends and token.text == ")") and not (token.text == ";;" and "esac" in ends):
                raise self._unexpected(token, ends[0])
            if not self._at_operator(";;"):
                self._skip_newlines()
        return items

    def _and_or(self) -> Node:
        first = self._pipeline()
        rest: list[tuple[str, Node]] = []
        while True:
            token = self._lexer.peek()
            if token.kind != "operator" or token.text not in ("&&", "||"):
                return AndOr(first, tuple(rest)) if rest else first
            self._lexer.next()
            self._skip_newlines()
            rest.append((token.text, self._pipeline()))

    def _pipeline(self) -> Node:
        negated = False
        while self._at_word("!"):
            self._lexer.next()
            negated = not negated
        commands = [self._command()]
        while self._at_operator("|"):
            self._lexer.next()
            if self._lexer.follows("&"):
                raise NotSupported("|&")
            self._skip_newlines()
            commands.append(self._command())
        return commands[0] if len(commands) == 1 and not negated else Pipeline(tuple(commands), negated)

    # commands

    def _command(self) -> Node:
        token = self._lexer.peek()
        if token.kind == "operator":
            if token.text == "(":
                self._lexer.next()
                if self._lexer.follows("("):
                    raise NotSupported("((...))")
                body = self._compound_list(")")
                self._lexer.next()
                return Subshell(body, self._redirects())
            if token.text not in _REDIRECTIONS:
                raise self._unexpected(token)
            return self._simple()
        if token.kind == "end":
            raise self._unexpected(token)
        compound = {
            "if": self._if,
            "while": self._loop,
            "until": self._loop,
            "for": self._for,
            "case": self._case,
            "{": self._group,
        }.get(token.text)
        if compound is not None:
            self._lexer.next()
            return compound(token.text)
        if token.text == "function":
            self._lexer.next()
            return self._named_function()
        if token.text in ("select", "coproc", "time"):
            raise NotSupported(token.text)
        if token.text in _RESERVED:
            raise self._unexpected(token)
        return self._simple()

    def _keyword(self, *texts: str) -> str:
        token = self._lexer.peek()
        if token.kind != "word" or token.text not in texts:
            raise self._unexpected(token, texts[0])
        self._lexer.next()
        return token.text

    def _if(self, _: str) -> Node:
        branches: list[tuple[Node, Node]] = []
        otherwise: Node | None = None
        while True:
            condition = self._compound_list("then")
            self._keyword("then")
            body = self._compound_list("fi", "elif", "else")
            branches.append((condition, body))
            word = self._keyword("fi", "elif", "else")
            if word == "else":
                otherwise = self._compound_list("fi")
                word = self._keyword("fi")
            if word == "fi":
                return If(tuple(branches), otherwise, self._redirects())

    def _loop(self, word: str) -> Node:
        condition = self._compound_list("do")
        self._keyword("do")
        body = self._compound_list("done")
        self._keyword("done")
        return Loop(condition, body, word == "until", self._redirects())

    def _for(self, _: str) -> Node:
        token = self._lexer.next()
        if self._lexer.follows("(") or token.text == "(":
            raise NotSupported("for ((...))")
        if token.kind != "word" or not is_name(token.text):
            raise SyntaxFault("syntax error: bad for loop variable", incomplete=token.kind == "end")
        self._skip_newlines()
        words: list[Word] | None = None
        if self._at_word("in"):
            self._lexer.next()
            words = []
            while self._lexer.peek().kind in ("word", "fd"):
                words.append(_as_word(self._lexer.next()))
            if not self._at_operator(";") and not self._at_operator("\n"):
                raise self._unexpected(self._lexer.peek())
            self._lexer.next()
        elif self._at_operator(";"):
            self._lexer.next()
        self._skip_newlines()
        self._keyword("do")
        body = self._compound_list("done")
        self._keyword("done")
        return For(token.text, None if words is None else tuple(words), body, self._redirects())

    def _case(self, _: str) -> Node:
        subject = self._lexer.next()
        if subject.kind not in ("word", "fd"):
            raise self._unexpected(subject)
        self._skip_newlines()
        self._keyword("in")
        items: list[tuple[tuple[Word, ...], Node | None]] = []
        self._skip_newlines()
        while not self._at_word("esac"):
            if self._at_operator("("):
                self._lexer.next()
            patterns: list[Word] = []
            while True:
                token = self._lexer.next()
                if token.kind not in ("word", "fd"):
                    raise self._unexpected(token, ")" if token.kind == "end" else "")
                patterns.append(_as_word(token))
                if not self._at_operator("|"):
                    break
                self._lexer.next()
            if not self._at_operator(")"):
                raise self._unexpected(self._lexer.peek(), ")")
            self._lexer.next()
            items.append((tuple(patterns), self._compound_list("esac", ";;")))
            if self._at_operator(";;"):
                self._lexer.next()
            self._skip_newlines()
        self._lexer.next()
        return Case(_as_word(subject), tuple(items), self._redirects())

    def _group(self, _: str) -> Node:
        body = self._compound_list("}")
        self._keyword("}")
        return Group(body, self._redirects())

    # simple commands and redirections

    def _simple(self) -> Node:
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        redirects: list[Redirect] = []
        while True:
            token = self._lexer.peek()
            if token.kind == "fd" or (token.kind == "operator" and token.text in _REDIRECTIONS):
                redirects += self._redirect()
            elif token.kind == "word":
                assert token.word is not None
                self._lexer.next()
                assignment = None if words else _assignment(token.word)
                if assignment is not None:
                    assignments.append(assignment)
                else:
                    words.append(token.word)
                if len(words) == 1 and not assignments and self._at_operator("(") and token.text:
                    return self._function(token.text)
            elif token.kind == "operator" and token.text == "(":
                raise self._unexpected(token)
            else:
                return Simple(tuple(assignments), tuple(words), tuple(redirects))

    def _named_function(self) -> Node:
        """`function name body`, with or without parentheses."""
        name = self._lexer.next()
        if self._at_operator("("):
            return self._function(name.text)
        self._skip_newlines()
        if name.kind != "word" or not is_name(name.text):
            raise SyntaxFault("syntax error: bad function name", incomplete=name.kind == "end")
        return self._body(name.text)

    def _function(self, name: str) -> Node:
        self._lexer.next()
        if not self._at_operator(")"):
            raise self._unexpected(self._lexer.peek(), ")")
        self._lexer.next()
        if not is_name(name):
            raise SyntaxFault("syntax error: bad function name")
        self._skip_newlines()
        return self._body(name)

    def _body(self, name: str) -> Node:
        with self._depth:
            return Function(name, self._command())

    def _redirects(self) -> tuple[Redirect, ...]:
        found: list[Redirect] = []
        while True:
            token = self._lexer.peek()
            if token.kind != "fd" and not (token.kind == "operator" and token.text in _REDIRECTIONS):
                return tuple(found)
            found += self._redirect()

    def _redirect(self) -> list[Redirect]:
        """One; two for `&>`, which turns stderr to the same place."""
        token = self._lexer.next()
        fd = None
        if token.kind == "fd":
            if len(token.text) > 1:
                raise NotSupported(f"descriptor {token.text}, above 9,")
            fd = int(token.text)
            token = self._lexer.next()
        operator = token.text
        if operator == ">" and self._lexer.follows("("):
            raise NotSupported(">(...)")
        if operator == "<<" and self._lexer.follows("<"):
            raise NotSupported("<<<")
        target = self._lexer.next()
        if target.kind not in ("word", "fd"):
            raise self._unexpected(target)
        word = _as_word(target)
        if operator == "&>":
            return [Redirect(1, ">", word), Redirect(2, ">&", Word((Literal("1"),), "1"))]
        redirect = Redirect((0 if operator.startswith("<") else 1) if fd is None else fd, operator, word)
        if operator in ("<<", "<<-"):
            redirect.delimiter = "".join(part.text for part in word.parts if isinstance(part, Literal))
            redirect.literal = any(isinstance(part, Literal) and part.quoted for part in word.parts)
            self._lexer.expect_document(redirect)
        return [redirect]

    def _unexpected(self, token: Token, expecting: str = "") -> SyntaxFault:
        if token.kind == "end":
            found = "end of file"
        elif token.kind == "operator" and token.text == "\n":
            found = "newline"
        elif token.kind == "operator" and token.text in _REDIRECTIONS:
            found = "redirection"
        elif token.kind == "operator" or token.text in _RESERVED:
            found = f'"{token.text}"'
        else:
            found = "word"
        more = f' (expecting "{expecting}")' if expecting else ""
        return SyntaxFault(f"syntax error: unexpected {found}{more}", incomplete=token.kind == "end")


def _sequence(items: list[tuple[Node, bool]]) -> Node:
    if len(items) == 1 and not items[0][1]:
        return items[0][0]
    return Sequence(tuple(items)) if items else _NOTHING


def _as_word(token: Token) -> Word:
    return token.word if token.word is not None else Word((Literal(token.text),), token.text)


def _assignment(word: Word) -> tuple[str, Word] | None:
    """`name=value`, whose name must stand there unquoted."""
    first = word.parts[0] if word.parts else None
    if not isinstance(first, Literal) or first.quoted:
        return None
    name, equals, rest = first.text.partition("=")
    if not equals or not is_name(name):
        return None
    parts = ((Literal(rest),) if rest else ()) + word.parts[1:]
    plain = "".join(part.text for part in parts if isinstance(part, Literal))
    literal = all(isinstance(part, Literal) for part in parts) and not rest.startswith("~")
    return name, Word(parts, plain if literal else None)
