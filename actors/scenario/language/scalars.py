"""The texts of a scenario file: durations, sizes, signals, numbers; pure text to value.

For the loader. What is known only while a scenario runs: `values`.
A text is read by what its field expects, never by how it looks: `on` in a text field is the text "on".
"""

from __future__ import annotations

import re
import signal

from actors.errors import KatrioError
from actors.scenario.language.kinds import Kind
from actors.scenario.language.needs import Need
from actors.scenario.language.values import VARIABLE, json_steps

__all__ = [
    "CODES",
    "MAX_EACH",
    "NO_ERROR",
    "SIGNALS",
    "WORDS",
    "each_range",
    "parse",
    "regex_fault",
    "signal_name",
    "size_text",
]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)")
_BYTES = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB)")
# what limits and counters of bytes can be (`actors.wire.spec`)
_MOST_BYTES = 2**63 - 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?")
_EACH_RANGE = re.compile(r"([0-9]{1,9})\.\.([0-9]{1,9})")

SIGNALS = {name.name.removeprefix("SIG"): int(name) for name in signal.Signals}
_SIGNAL_NAMES = {number: name for name, number in SIGNALS.items()}
CODES = frozenset(error.code for error in KatrioError.__subclasses__())
# among the codes of `expect.error`: it may also go well
NO_ERROR = "none"
# of one `for_each`
MAX_EACH = 1000

# kinds whose texts come from a fixed list
WORDS: dict[Kind, frozenset[str]] = {
    Kind.SIGNAL: frozenset(SIGNALS),
    Kind.NEED: frozenset(Need),
    Kind.CODES: CODES | {NO_ERROR},
}


def _duration(text: str) -> float | None:
    match = _DURATION.fullmatch(text)
    return float(match[1]) * _UNITS[match[2]] if match else None


def _bytes(text: str) -> int | None:
    match = _BYTES.fullmatch(text)
    size = int(match[1]) * _SIZES[match[2]] if match else 0
    return size if 0 < size <= _MOST_BYTES else None


def size_text(size: int) -> str:
    """A size as `parse` reads it, in the largest unit that has no rest."""
    unit = next(unit for unit in reversed(_SIZES) if size % _SIZES[unit] == 0)
    return f"{size // _SIZES[unit]}{unit}"


def _signal(text: str) -> int | None:
    if text.isdecimal() and len(text) <= 2 and 1 <= int(text) <= 64:
        return int(text)
    return SIGNALS.get(text.removeprefix("SIG"))


def signal_name(number: int) -> str | int:
    """How a file writes a signal: by its name, where it has one."""
    return _SIGNAL_NAMES.get(number, number)


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
            return text if _NUMBER.fullmatch(text) or VARIABLE.fullmatch(text) else None
        case Kind.NAME | Kind.NEW_VARIABLE:
            return text if _NAME.fullmatch(text) else None
        case Kind.ID:
            return text if len(text) > 1 and _NAME.fullmatch(text) else None
        case Kind.NEW_PROCESS:
            return text if _NAME.fullmatch(VARIABLE.sub("x", text)) else None
        case Kind.JSON_PATH:
            return text if json_steps(text) is not None else None
        case Kind.REGEX:
            return None if regex_fault(text) else text
        case Kind.NEED | Kind.CODES:
            return text if text in WORDS[kind] else None
        case _:
            return text


def regex_fault(text: str) -> str:
    """What is wrong with a regular expression; empty when it is one."""
    try:
        re.compile(text)
    except re.error as error:
        return str(error)
    return ""


def each_range(text: str) -> tuple[str, ...] | None:
    """The numbers of `1..20`, both ends included; None when it is no range, or too long a one."""
    match = _EACH_RANGE.fullmatch(text)
    if match is None or not 0 <= int(match[2]) - int(match[1]) < MAX_EACH:
        return None
    return tuple(str(number) for number in range(int(match[1]), int(match[2]) + 1))
