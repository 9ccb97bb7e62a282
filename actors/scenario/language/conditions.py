"""Conditions on values, and whether what was seen meets them; both in words.

Pure. For files, whose `expect` is bound to these shapes, and for steps, when they end and each time `eventually` and `always`
look. Not for getting at values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec.structs import replace

from actors.lifecycle.container import ContainerState
from actors.lifecycle.sandbox import SandboxState
from actors.scenario.language.kinds import Codes, JsonPath, Kind, Number, Regex, Scalar, Text
from actors.scenario.language.values import UnknownValue, fill, number_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["STATES", "Conditions", "Expect", "Mismatch", "contradiction", "holds"]

# what a message shows of a long text: its end, where the news is
SHOWN = 200
# of sandboxes and containers, in the order of a life
STATES = tuple(dict.fromkeys(str(state) for state in (*ContainerState, *SandboxState)))


class Conditions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Conditions on one value; all that are given must hold. Texts are compared without their last line end."""

    equals: Annotated[Scalar | None, "It is this text or number; a last line end does not count."] = None
    contains: Annotated[Text | None, "It has this text in it."] = None
    excludes: Annotated[Text | None, "It does not have this text in it."] = None
    matches: Annotated[Regex | None, "This regular expression is found in it; `^` and `$` are those of lines."] = None
    at_least: Annotated[Number | None, "It is a number, this one or more."] = None
    at_most: Annotated[Number | None, "It is a number, this one or less."] = None
    range: Annotated[tuple[str, str] | None, Kind.RANGE, "It is a number between these two, which count."] = None
    one_of: Annotated[tuple[Scalar, ...] | None, "It is one of these."] = None


_Conditions = Annotated[Conditions, Kind.CONDITIONS]


class Expect(Conditions, frozen=True, kw_only=True, omit_defaults=True):
    """Conditions on what came of a step: on its value, and on what else there is after it."""

    error: Annotated[
        Codes | None,
        "The step fails with this code, or one of these; `none` among them: it may also not fail.",
    ] = None
    message: Annotated[_Conditions | None, "Conditions on the error's message."] = None
    took: Annotated[_Conditions | None, "Conditions on the seconds that the step took."] = None
    json: Annotated[
        dict[JsonPath, _Conditions] | None,
        "The value is JSON: a path in it, and conditions on what stands there.",
    ] = None
    exit: Annotated[_Conditions | None, "Conditions on the exit code; 128 + N when signal N killed it."] = None
    stdout: Annotated[_Conditions | None, "Conditions on the last 64 KiB of its output."] = None
    stderr: Annotated[_Conditions | None, "Conditions on the last 64 KiB of its error output."] = None
    state: Annotated[_Conditions | None, "Conditions on the state of what the step acted on."] = None


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What was expected and what was seen instead, for people; `code` is of the error that was seen."""

    expected: str
    seen: str
    code: str = ""


def holds(conditions: Conditions, seen: str | float | None, values: Mapping[str, str], what: str) -> Mismatch | None:
    """The first of the conditions that does not hold; None when all do.

    Args:
        seen: the value; None when there is none.
        what: its name for the message, such as `exit`; empty for the step's own value.

    Raises:
        UnknownValue: a condition uses what is not known, or no value can meet all of them.
    """
    known = _filled(conditions, values)
    if why := contradiction(known):
        raise UnknownValue(f"{why}, which nothing can meet")
    for held, expected in _checks(known, seen):
        if not held:
            label = f"{what} " if what else ""
            return Mismatch(label + expected, label + _show(seen))
    return None


def contradiction(known: Conditions, least: float = -inf, most: float = inf) -> str:
    """Conditions of which no value meets all, in their own words; empty when one may. They have no `${name}` any more.

    `least`, `most`: what the value can be at all. Raises: UnknownValue, for a text where a number is needed.
    """
    # what contradicts itself needs no word about the value
    if (least, most) != (-inf, inf) and (why := contradiction(known)):
        return why
    bounds: list[tuple[str, float, float]] = []
    if known.range is not None:
        low, high = known.range
        bounds.append((f"range [{low}, {high}]", number_of(low), number_of(high)))
    if known.at_least is not None:
        bounds.append((f"at_least {known.at_least}", number_of(known.at_least), inf))
    if known.at_most is not None:
        bounds.append((f"at_most {known.at_most}", -inf, number_of(known.at_most)))
    if max(least, *(low for _, low, _ in bounds), -inf) > min(most, *(high for _, _, high in bounds), inf):
        return " and ".join(words for words, _, _ in bounds) + _domain(least, most)
    if known.excludes is not None and known.excludes in (known.contains or ""):
        contains = f"contains {known.contains!r} and " if known.contains else ""
        return f"{contains}excludes {known.excludes!r}"
    choices = [known.equals] if known.equals is not None else list(known.one_of or ())
    rest = replace(known, equals=None)
    for choice in choices:
        number = _number(choice)
        if (number is None or least <= number <= most) and all(held for held, _ in _checks(rest, choice)):
            return ""
    if not choices:
        return ""
    said = repr(choices[0]) if known.equals is not None else f"one of {', '.join(map(repr, choices))}"
    others = [name for name in Conditions.__struct_fields__ if getattr(rest, name) is not None]
    words = " and ".join([said, *(name for name in others if name != "one_of" or known.equals is not None)])
    return words + _domain(least, most)


def _domain(least: float, most: float) -> str:
    if least == -inf:
        return ""
    return f" of a number from {least:g} to {most:g}" if most < inf else f" of a number from {least:g} up"


def _filled(conditions: Conditions, values: Mapping[str, str]) -> Conditions:
    """With every value in. Raises: UnknownValue."""
    known: dict[str, Any] = {}
    for name in Conditions.__struct_fields__:
        found = getattr(conditions, name)
        if found is not None:
            known[name] = fill(found, values) if isinstance(found, str) else tuple(fill(one, values) for one in found)
    return Conditions(**known)


def _checks(known: Conditions, seen: str | float | None) -> Iterator[tuple[bool, str]]:
    """Each condition: whether it holds, and what it says. Raises: UnknownValue."""
    plain = "" if seen is None else str(seen)
    if known.equals is not None:
        yield _same(seen, known.equals), _wanted(known.equals, seen)
    if known.contains is not None:
        yield known.contains in plain, f"a text with {known.contains!r}"
    if known.excludes is not None:
        yield known.excludes not in plain, f"a text without {known.excludes!r}"
    if known.matches is not None:
        yield re.search(known.matches, plain, re.MULTILINE) is not None, f"a match of {known.matches!r}"
    if known.one_of is not None:
        wanted = ", ".join(_wanted(choice, seen) for choice in known.one_of)
        yield any(_same(seen, choice) for choice in known.one_of), f"one of {wanted}"
    if known.range is not None:
        low, high = map(number_of, known.range)
        yield (value := _number(seen)) is not None and low <= value <= high, f"{low:g} to {high:g}"
    if known.at_least is not None:
        least = number_of(known.at_least)
        yield (value := _number(seen)) is not None and value >= least, f"at least {least:g}"
    if known.at_most is not None:
        most = number_of(known.at_most)
        yield (value := _number(seen)) is not None and value <= most, f"at most {most:g}"


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
