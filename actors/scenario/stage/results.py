"""What became of a run: its steps, its asks, and whether thresholds over all of them held.

For the runner, which makes it, and reports. Pure.
"""

from __future__ import annotations

import operator
from math import ceil
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from actors.reporting.texts import duration
from actors.scenario.language.thresholds import COUNTED
from actors.scenario.stage.events import AskRecord, Outcome, StepEnded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from actors.scenario.language.thresholds import Threshold

__all__ = ["Judged", "Result", "judge_threshold", "judgement", "percentile"]

_COMPARE: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}
)


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold at the end of a run; `value` is None when there was no such ask.

    `unit` is that of the value: `s` of times, `1/s` of a rate, empty for numbers of asks.
    """

    threshold: str
    value: float | None
    unit: str
    held: bool


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one scenario: one object of `--json`. `steps` are those that were begun, in their order of end."""

    file: str
    name: str
    outcome: Outcome
    world: str
    agent: str
    engine: str | None = None
    seed: int | None = None
    # how many times as long as it says everything was allowed to take
    slow: float = 1.0
    duration_s: float
    # empty when it held
    reason: str = ""
    steps: tuple[StepEnded, ...] = ()
    # those of no step: of bringing up and taking down
    asks: tuple[AskRecord, ...] = ()
    thresholds: tuple[Judged, ...] = ()
    # of a simulation: equal for equal runs
    trace_digest: str | None = None


def judge_threshold(threshold: Threshold, asks: Sequence[AskRecord], seconds: float) -> Judged:
    """Whether it held over these asks, in a run of so many seconds."""
    value = _value(threshold, [ask for ask in asks if ask.verb == threshold.verb], seconds)
    held = value is not None and _COMPARE[threshold.compare](value, threshold.bound)
    unit = COUNTED.get(threshold.what, "s")
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


def percentile(times: Sequence[float], share: float) -> float:
    """The nearest rank of sorted times, of which there is one at least: a time that really was."""
    return times[max(0, ceil(share / 100 * len(times)) - 1)]
