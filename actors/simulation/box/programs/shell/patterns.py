"""Shell patterns: `*`, `?`, `[...]`, and what they match. Pure; a backslash quotes the next character.

For `case`, for `${name%pattern}` and similar expansions, and for file names.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["escaped", "is_pattern", "matches", "replaced", "without_prefix", "without_suffix"]

_SPECIAL = frozenset("*?[\\")
_CLASSES = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "space": r"\s",
    "blank": r" \t", "xdigit": "0-9a-fA-F", "punct": r"!-/:-@\[-`{-~",
}  # fmt: skip


def escaped(text: str) -> str:
    """A pattern that matches the text alone."""
    return "".join("\\" + char if char in _SPECIAL else char for char in text)


def is_pattern(pattern: str) -> bool:
    """Whether anything in it is special."""
    at = 0
    while at < len(pattern):
        if pattern[at] in "*?[":
            return True
        at += 2 if pattern[at] == "\\" else 1
    return False


def matches(pattern: str, text: str) -> bool:
    """Whether all of the text matches."""
    return _compiled(pattern).fullmatch(text) is not None


def without_prefix(pattern: str, text: str, *, longest: bool) -> str:
    """The text without the prefix that matches."""
    compiled = _compiled(pattern)
    ends = range(len(text) + 1)
    for end in reversed(ends) if longest else ends:
        if compiled.fullmatch(text, 0, end):
            return text[end:]
    return text


def without_suffix(pattern: str, text: str, *, longest: bool) -> str:
    """The text without the suffix that matches."""
    compiled = _compiled(pattern)
    starts = range(len(text) + 1)
    for start in starts if longest else reversed(starts):
        if compiled.fullmatch(text, start):
            return text[:start]
    return text


def replaced(pattern: str, text: str, new: str, *, every: bool) -> str:
    """The text with the first match, or each, replaced."""
    if not pattern:
        return text
    return _compiled(pattern).sub(lambda _: new, text, count=0 if every else 1)


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "\\" and at < len(pattern):
            out.append(re.escape(pattern[at]))
            at += 1
        elif char == "*":
            # several are one, and none is tried twice at the same place
            if out[-1:] != [".*"]:
                out.append(".*")
        elif char == "?":
            out.append(".")
        elif char == "[":
            found, at = _bracket(pattern, at)
            out.append(found)
        else:
            out.append(re.escape(char))
    return re.compile("".join(out), re.DOTALL)


def _bracket(pattern: str, at: int) -> tuple[str, int]:
    """A set's expression and where it ends; a bracket that is never closed is a plain character."""
    start, negated = at, False
    if pattern[at : at + 1] in ("!", "^"):
        negated, at = True, at + 1
    inner: list[str] = []
    first = True
    while at < len(pattern) and (pattern[at] != "]" or first):
        first = False
        if pattern.startswith("[:", at) and ":]" in pattern[at:]:
            end = pattern.index(":]", at)
            inner.append(_CLASSES.get(pattern[at + 2 : end], ""))
            at = end + 2
            continue
        if pattern[at] == "\\" and at + 1 < len(pattern):
            at += 1
        inner.append(pattern[at] if pattern[at] == "-" else re.escape(pattern[at]))
        at += 1
    if at >= len(pattern):
        return re.escape("["), start
    content = "".join(inner)
    if not content:
        return "(?!)", at + 1
    try:
        re.compile(f"[{content}]")
    except re.error:
        return "(?!)", at + 1
    return f"[{'^' if negated else ''}{content}]", at + 1
