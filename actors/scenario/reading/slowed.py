"""A scenario for a slow guest: whatever it allows a time for has so many times as long.

For `katrio run --slow`, before anything runs. Every field that is a time is one of how long something may take, but for `during`:
how long a look goes on, or rounds are begun, is the scenario's own matter. Of `took` and of thresholds the side that says how slow is
too slow moves alone. What a command in a container waits for is its own too. Not for the actors' bounds:
`actors.limits.slow_limits`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast, get_args

import msgspec

from actors.scenario.language.conditions import Expect
from actors.scenario.language.kinds import Kind, hints_of
from actors.scenario.language.thresholds import COUNTED, Threshold

if TYPE_CHECKING:
    from actors.scenario.language.conditions import Conditions
    from actors.scenario.reading.scenario import Loaded

__all__ = ["slowed"]

_OWN = frozenset({"during"})


def slowed(loaded: Loaded, factor: float) -> Loaded:
    """The same scenario with so many times the time; its names, steps and lines are what they were."""
    return replace(loaded, scenario=_slowed(loaded.scenario, factor), slow=factor)


def _slowed(part: Any, factor: float) -> Any:
    """Any part of a scenario."""
    if isinstance(part, Threshold):
        return _threshold(part, factor)
    if isinstance(part, tuple):
        return tuple(_slowed(item, factor) for item in cast("tuple[object, ...]", part))
    if not isinstance(part, msgspec.Struct):
        return part
    times = _times(type(part))
    changed: dict[str, Any] = {}
    for name in part.__struct_fields__:
        value = getattr(part, name)
        fresh = value * factor if name in times and value is not None else _slowed(value, factor)
        if fresh is not value:
            changed[name] = fresh
    if isinstance(part, Expect) and part.took is not None:
        changed["took"] = _took(part.took, factor)
    return msgspec.structs.replace(part, **changed) if changed else part


@cache
def _times(kind: type[msgspec.Struct]) -> frozenset[str]:
    """The fields of it that are times, by their types."""
    hints = hints_of(kind)
    return frozenset(name for name, hint in hints.items() if name not in _OWN and _is_time(hint))


def _is_time(hint: object) -> bool:
    return Kind.DURATION in getattr(hint, "__metadata__", ()) or any(_is_time(one) for one in get_args(hint))


def _took(conditions: Conditions, factor: float) -> Conditions:
    changed: dict[str, Any] = {}
    if conditions.at_most is not None:
        changed["at_most"] = _times_factor(conditions.at_most, factor)
    if conditions.range is not None:
        low, high = conditions.range
        changed["range"] = (low, _times_factor(high, factor))
    return msgspec.structs.replace(conditions, **changed)


def _times_factor(text: str, factor: float) -> str:
    """Of a number; a value that is known only while the scenario runs stays."""
    try:
        return repr(float(text) * factor)
    except ValueError:
        return text


def _threshold(threshold: Threshold, factor: float) -> Threshold:
    """How slow is too slow, and how few a second too few; counts stay."""
    bound = threshold.bound
    if threshold.what == "rate" and threshold.compare in (">", ">="):
        bound /= factor
    elif threshold.what not in COUNTED and threshold.compare in ("<", "<="):
        bound *= factor
    else:
        return threshold
    return msgspec.structs.replace(threshold, text=f"{threshold.text}, {factor:g} times as slow", bound=bound)
