"""The texts of a scenario file: durations, sizes, signals, numbers, commands; pure text to value.

For the loader and for values that are only known while a scenario runs (`${name}` replaced).
A text is read by what its field expects, never by how it looks: `on` in a text field is the text "on".
"""

from __future__ import annotations

import re
import signal

from actors.errors import KatrioError
from actors.scenario.model import Kind
from actors.scenario.needs import NEEDS

__all__ = ["CODES", "SIGNALS", "WORDS", "parse", "substitute", "variables_in"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZES = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)")
_BYTES = re.compile(r"([0-9]{1,15})(KiB|MiB|GiB|)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?")
_VARIABLE = re.compile(r"\$?\$\{([A-Za-z0-9_-]{1,64})\}")

SIGNALS = {name.name.removeprefix("SIG"): int(name) for name in signal.Signals}
CODES = frozenset(error.code for error in KatrioError.__subclasses__())

# kinds whose texts come from a fixed list
WORDS: dict[Kind, frozenset[str]] = {
    Kind.SIGNAL: frozenset(SIGNALS),
    Kind.NEED: frozenset(NEEDS),
    Kind.CODE: CODES,
}


def _duration(text: str) -> float | None:
    match = _DURATION.fullmatch(text)
    return float(match[1]) * _UNITS[match[2]] if match else None


def _bytes(text: str) -> int | None:
    match = _BYTES.fullmatch(text)
    return int(match[1]) * _SIZES[match[2]] if match else None


def _signal(text: str) -> int | None:
    if text.isdecimal() and 1 <= int(text) <= 64:
        return int(text)
    return SIGNALS.get(text.removeprefix("SIG"))


def parse(kind: Kind, text: str) -> str | int | float | None:
    """The value of `text` as a field of this kind reads it, or None when it is none of the kind."""
    match kind:
        case Kind.DURATION:
            return _duration(text)
        case Kind.BYTES:
            return _bytes(text)
        case Kind.SIGNAL:
            return _signal(text)
        case Kind.NUMBER:
            return text if _NUMBER.fullmatch(text) or _VARIABLE.fullmatch(text) else None
        case Kind.NAME | Kind.NEW_PROCESS | Kind.NEW_VARIABLE:
            return text if _NAME.fullmatch(text) else None
        case Kind.REGEX:
            try:
                re.compile(text)
            except re.error:
                return None
            return text
        case Kind.NEED | Kind.CODE:
            return text if text in WORDS[kind] else None
        case _:
            return text


def variables_in(text: str) -> list[str]:
    """The names that `${name}` uses in a text; `$${name}` uses none."""
    return [match[1] for match in _VARIABLE.finditer(text) if not match[0].startswith("$$")]


def substitute(text: str, values: dict[str, str]) -> str:
    """Replace `${name}` by its value, and `$${` by `${`. Raises: KeyError."""
    return _VARIABLE.sub(lambda match: match[0][1:] if match[0].startswith("$$") else values[match[1]], text)
