"""`${name}` in texts, numbers, and paths in JSON: what is known only while a scenario runs. Pure.

For conditions, steps and the checks of a file before it runs.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "VARIABLE",
    "UnknownProcess",
    "UnknownValue",
    "fill",
    "json_at",
    "json_steps",
    "number_of",
    "substitute",
    "variables_in",
]

_JSON_DEPTH = 16
VARIABLE = re.compile(r"\$?\$\{([A-Za-z0-9_-]{1,64})\}")
_JSON_STEP = re.compile(r"\.?([A-Za-z0-9_-]+)|\[([0-9]{1,6})\]")


class UnknownValue(Exception):
    """`${name}` of a step that did not run, or a text where a number is needed; the message says which."""

    wanted = "a value"

    def __init__(self, message: str, *, name: str = "") -> None:
        super().__init__(message)
        # of the value that is not there
        self.name = name


class UnknownProcess(UnknownValue):
    """The step that starts a process did not hold, or has not run; the message says which."""

    wanted = "a process that was started"


def variables_in(text: str) -> list[str]:
    """The names that `${name}` uses in a text; `$${name}` uses none."""
    return [match[1] for match in VARIABLE.finditer(text) if not match[0].startswith("$$")]


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Replace `${name}` by its value, and `$${` by `${`. Raises: KeyError."""
    return VARIABLE.sub(lambda match: match[0][1:] if match[0].startswith("$$") else values[match[1]], text)


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace the `${name}` of a text. Raises: UnknownValue."""
    try:
        return substitute(template, values)
    except KeyError as error:
        name = str(error.args[0])
        raise UnknownValue(f"no value {name!r} yet: the step that saves it has not run", name=name) from None


def number_of(text: str) -> float:
    """Raises: UnknownValue."""
    try:
        return float(text)
    except ValueError:
        raise UnknownValue(f"{text!r} is no number") from None


def json_steps(path: str) -> tuple[str | int, ...] | None:
    """The keys and indexes of a path such as `memory.usage` or `[0].pid`; a leading `$` may stand; None if it is none."""
    rest = path.removeprefix("$")
    steps: list[str | int] = []
    while rest:
        match = _JSON_STEP.match(rest)
        if match is None or len(steps) == _JSON_DEPTH:
            return None
        steps.append(match[1] if match[1] is not None else int(match[2]))
        rest = rest[match.end() :]
    return tuple(steps)


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
