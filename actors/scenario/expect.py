"""Whether what was seen is what was expected, and both in words.

Pure. For steps, when they end and each time `eventually` and `always` look. Not for getting at values.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actors.scenario.scalars import json_steps, substitute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.scenario.model import Conditions

__all__ = ["Mismatch", "UnknownProcess", "UnknownValue", "fill", "holds", "json_at", "number_of"]

# what a message shows of a long text: its end, where the news is
SHOWN = 200


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What was expected and what was seen instead, for people; `code` is of the error that was seen."""

    expected: str
    seen: str
    code: str = ""


class UnknownValue(Exception):
    """`${name}` of a step that did not run, or a text where a number is needed; the message says which."""

    wanted = "a value"

    def __init__(self, message: str, name: str = "") -> None:
        """`name`: of the value, where one is missing."""
        super().__init__(message)
        self.name = name


class UnknownProcess(UnknownValue):
    """The step that starts a process did not hold, or has not run; the message says which."""

    wanted = "a process that was started"


def holds(conditions: Conditions, seen: str | float | None, values: Mapping[str, str], what: str) -> Mismatch | None:
    """The first of the conditions that does not hold; None when all do.

    Args:
        seen: the value; None when there is none.
        what: its name for the message, such as `exit`; empty for the step's own value.

    Raises:
        UnknownValue: a condition uses what is not known.
    """

    def text(template: str) -> str:
        return fill(template, values)

    def number(template: str) -> float:
        return number_of(text(template))

    plain = "" if seen is None else str(seen)
    checks: list[tuple[bool, str]] = []
    if conditions.equals is not None:
        checks.append((_same(seen, text(conditions.equals)), _wanted(text(conditions.equals), seen)))
    if conditions.contains is not None:
        checks.append((text(conditions.contains) in plain, f"a text with {text(conditions.contains)!r}"))
    if conditions.excludes is not None:
        checks.append((text(conditions.excludes) not in plain, f"a text without {text(conditions.excludes)!r}"))
    if conditions.matches is not None:
        found = re.search(text(conditions.matches), plain, re.MULTILINE)
        checks.append((found is not None, f"a match of {text(conditions.matches)!r}"))
    if conditions.one_of is not None:
        choices = [text(choice) for choice in conditions.one_of]
        checks.append(
            (
                any(_same(seen, choice) for choice in choices),
                f"one of {', '.join(_wanted(choice, seen) for choice in choices)}",
            )
        )
    if conditions.range is not None:
        low, high = map(number, conditions.range)
        checks.append(((value := _number(seen)) is not None and low <= value <= high, f"{low:g} to {high:g}"))
    if conditions.at_least is not None:
        least = number(conditions.at_least)
        checks.append(((value := _number(seen)) is not None and value >= least, f"at least {least:g}"))
    if conditions.at_most is not None:
        most = number(conditions.at_most)
        checks.append(((value := _number(seen)) is not None and value <= most, f"at most {most:g}"))
    for held, expected in checks:
        if not held:
            label = f"{what} " if what else ""
            return Mismatch(label + expected, label + _show(seen))
    return None


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace the `${name}` of a text. Raises: UnknownValue."""
    try:
        return substitute(template, values)
    except KeyError as error:
        name = str(error.args[0])
        raise UnknownValue(f"no value {name!r} yet: the step that saves it has not run", name) from None


def number_of(text: str) -> float:
    """Raises: UnknownValue."""
    try:
        return float(text)
    except ValueError:
        raise UnknownValue(f"{text!r} is no number") from None


def json_at(value: str | float | None, path: str) -> str | float | None:
    """What a JSON text has at a path: texts and numbers as they are, the rest as JSON; None when nothing is there."""
    try:
        found: Any = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return None
    for step in json_steps(path) or ():
        try:
            found = found[step]
        except (KeyError, IndexError, TypeError):
            return None
    if found is None or (isinstance(found, (str, int, float)) and not isinstance(found, bool)):
        return found
    return json.dumps(found, separators=(",", ":"))


def _same(seen: str | float | None, wanted: str) -> bool:
    if isinstance(seen, (int, float)):
        try:
            return float(wanted) == seen
        except ValueError:
            return False
    return seen is not None and seen.rstrip("\r\n") == wanted.rstrip("\r\n")


def _wanted(text: str, seen: str | float | None) -> str:
    """A number where a number was seen, in the same hand; else the text in quotes."""
    return text if isinstance(seen, (int, float)) and _number(text) is not None else repr(text)


def _number(seen: str | float | None) -> float | None:
    try:
        return float(seen) if seen is not None else None
    except ValueError:
        return None


def _show(seen: str | float | None) -> str:
    if seen is None:
        return "nothing"
    if isinstance(seen, (int, float)):
        return f"{seen:.12g}"
    return repr(seen) if len(seen) <= SHOWN else f"(the last {SHOWN} of {len(seen)} characters) {seen[-SHOWN:]!r}"
