"""Thresholds over all asks of a run: `p95(exec) < 50ms`, `rate(exec) >= 20`, `errors(stop) == 0`.

Pure. For the loader, which reads them, and the runner, which judges them at the end. A time is that of one ask, from
the request to its answer; an ask that ended with an error counts for `count` alone, and for `errors` when no step expected it. Not for steps.
"""

from __future__ import annotations

import operator
import re
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from actors.scenario.summary import duration, percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from actors.scenario.events import AskRecord

__all__ = ["Judged", "Threshold", "impossible", "judge_threshold", "judgement", "parse_threshold"]

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_FORM = re.compile(
    r"(?P<what>p[0-9]{1,2}(?:\.[0-9]{1,3})?|min|max|mean|count|errors|rate)\((?P<verb>[a-z_]{1,40})\)"
    r"\s*(?P<compare><=|>=|==|<|>)\s*(?P<number>[0-9]{1,12}(?:\.[0-9]{1,9})?)(?P<unit>us|ms|s|m)?"
)
_COMPARE: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}
)
_COUNTS = ("count", "errors", "rate")


class Threshold(msgspec.Struct, frozen=True):
    """`what` of the asks of a `verb`, compared with `bound`: seconds, or a number for count, errors and rate."""

    text: str
    what: str
    verb: str
    compare: str
    bound: float


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold at the end of a run; `value` is None when there was no such ask.

    `unit` is that of the value: `s` of times, `1/s` of a rate, empty for numbers of asks.
    """

    threshold: str
    value: float | None
    unit: str
    held: bool


def parse_threshold(text: str) -> Threshold | str:
    """The threshold, or what was expected instead."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        return "a threshold such as p95(exec) < 50ms, max(pause) <= 1s, rate(exec) > 10 or errors(stop) == 0"
    what, unit = match["what"], match["unit"]
    if (what in _COUNTS) != (unit is None):
        return (
            f"{what} compared with a plain number" if what in _COUNTS else f"{what} compared with a time such as 50ms"
        )
    return Threshold(text.strip(), what, match["verb"], match["compare"], float(match["number"]) * _UNITS[unit or "s"])


def impossible(threshold: Threshold) -> str | None:
    """What could be met instead, if this never can: no time and no number of asks is below 0, and those are whole."""
    if threshold.compare == "<" and not threshold.bound:
        return "a bound above 0"
    if threshold.what in ("count", "errors") and threshold.compare == "==" and threshold.bound % 1:
        return "a whole number"
    return None


def judge_threshold(threshold: Threshold, asks: Sequence[AskRecord], seconds: float) -> Judged:
    """Whether it held over these asks, in a run of so many seconds."""
    value = _value(threshold, [ask for ask in asks if ask.verb == threshold.verb], seconds)
    held = value is not None and _COMPARE[threshold.compare](value, threshold.bound)
    unit = {"rate": "1/s", "count": "", "errors": ""}.get(threshold.what, "s")
    return Judged(threshold=threshold.text, value=value, unit=unit, held=held)


def judgement(judged: Judged) -> str:
    """What it was, with its unit, for people."""
    if judged.value is None:
        return "there was no such ask"
    if judged.unit == "s":
        return f"it was {duration(judged.value)}"
    return f"it was {judged.value:.6g}{' a second' if judged.unit else ''}"


def _value(threshold: Threshold, asks: Sequence[AskRecord], seconds: float) -> float | None:
    times = sorted(ask.seconds for ask in asks if not ask.code)
    match threshold.what:
        case "count":
            return float(len(asks))
        case "errors":
            return float(sum(1 for ask in asks if ask.code and not ask.expected))
        case "rate":
            return len(times) / seconds if seconds else 0.0
        case _ if not times:
            return None
        case "min":
            return times[0]
        case "max":
            return times[-1]
        case "mean":
            return sum(times) / len(times)
        case share:
            return percentile(times, float(share[1:]))
