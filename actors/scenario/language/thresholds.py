"""Thresholds over all asks of a run: `p95(exec) < 50ms`, `rate(exec) >= 20`, `errors(stop) == 0`.

Pure. For the loader; judged at the end of a run: `actors.scenario.stage.results`. A time is that of one ask, from
the request to its answer; an ask that ended with an error counts for `count` alone, and for `errors` when no step expected it. Not for steps.
"""

from __future__ import annotations

import re

import msgspec

from actors.wire.sandbox_verbs import SANDBOX_VERBS
from actors.wire.verbs import CONTAINER_VERBS, SYSTEM_VERBS

__all__ = ["ASKED", "COUNTED", "Threshold", "impossible", "parse_threshold"]

# what the asks of a run may be called: the wire's verbs, and `create` of a sandbox or a container
ASKED = frozenset(
    name
    for table in ({"create": None}, SYSTEM_VERBS, SANDBOX_VERBS, CONTAINER_VERBS)
    for name, row in table.items()
    if row is None or not row.streams
)

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_FORM = re.compile(
    r"(?P<what>p[0-9]{1,2}(?:\.[0-9]{1,3})?|min|max|mean|count|errors|rate)\((?P<verb>[a-z_]{1,40})\)"
    r"\s*(?P<compare><=|>=|==|<|>)\s*(?P<number>[0-9]{1,12}(?:\.[0-9]{1,9})?)(?P<unit>us|ms|s|m)?"
)
# what is compared with a plain number, and that number's unit
COUNTED = {"count": "", "errors": "", "rate": "1/s"}


class Threshold(msgspec.Struct, frozen=True):
    """`what` of the asks of a `verb`, compared with `bound`: seconds, or a number for count, errors and rate."""

    text: str
    what: str
    verb: str
    compare: str
    bound: float


def parse_threshold(text: str) -> Threshold | str:
    """The threshold, or what was expected instead."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        return "a threshold such as p95(exec) < 50ms, max(pause) <= 1s, rate(exec) > 10 or errors(stop) == 0"
    what, unit = match["what"], match["unit"]
    if (what in COUNTED) != (unit is None):
        return (
            f"{what} compared with a plain number" if what in COUNTED else f"{what} compared with a time such as 50ms"
        )
    return Threshold(text.strip(), what, match["verb"], match["compare"], float(match["number"]) * _UNITS[unit or "s"])


def impossible(threshold: Threshold) -> str | None:
    """What could be met instead, if this never can: no time and no number of asks is below 0, and those are whole."""
    if threshold.compare == "<" and not threshold.bound:
        return "a bound above 0"
    if threshold.what in ("count", "errors") and threshold.compare == "==" and threshold.bound % 1:
        return "a whole number"
    return None
