"""Which figures got worse than in an earlier run, by more than the noise: reads what `scripts/bench --json` wrote.

Two runs differ by their machines and by what else ran on them, so a figure is compared by the first of these that both runs have: its
ratio in processor time, its ratio to the other side, its value where the machine is the same one. Noise is what the rounds of
one run differ by: a figure has changed when the quartiles of both runs do not overlap and their medians differ by more than
`FLOOR`. Pure; not for measuring.
"""

from __future__ import annotations

import statistics
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec
from rich.markup import escape
from rich.table import Table

from actors.reporting.texts import tally
from benchmarks.figure import Rounds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.figure import Measured

__all__ = ["BASELINE", "Change", "Changed", "Run", "compare", "comparison_table", "read_run", "summary", "with_noise"]

# what CI compares with; made on a quiet machine (docs/performance.md)
BASELINE = "benchmarks/baseline.json"
# medians of two runs of the same code on one machine differ by as much; with the few rounds of --quick by more
FLOOR, QUICK_FLOOR = 0.05, 0.15


class Change(StrEnum):
    """What became of a figure. None of them is a failure of the run."""

    SLOWER = "slower"
    FASTER = "faster"
    SAME = "within the noise"
    # no ratio, and another machine or no common unit
    INCOMPARABLE = "not comparable"
    NOT_MEASURED = "not measured"
    NEW = "new"


class ProcessorTime(msgspec.Struct, frozen=True, kw_only=True):
    """Of a figure's own side; `ratio` to the other side's. Quartiles as in `Entry`."""

    ratio: float | None = None
    ratio_spread: tuple[float, float] | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of a run, as far as it is compared: medians, and the quartiles of its rounds."""

    name: str
    value: float | None = None
    unit: str = ""
    spread: tuple[float, float] | None = None
    peer: str | None = None
    ratio: float | None = None
    ratio_spread: tuple[float, float] | None = None
    cpu: ProcessorTime | None = None
    skipped: str = ""
    failed: str = ""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was measured on."""

    cpu: str
    cores: int
    quick: bool = False


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What `scripts/bench --json` prints."""

    machine: Machine
    figures: tuple[Entry, ...]


class Quartiles(msgspec.Struct, frozen=True):
    """A median between its quartiles."""

    median: float
    low: float
    high: float


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of both runs. `by` is what was compared; `change` how much worse it is: 0.25 for a quarter slower, -0.2 for faster."""

    name: str
    verdict: Change
    by: str = ""
    before: Quartiles | None = None
    now: Quartiles | None = None
    change: float | None = None
    why: str = ""


def read_run(data: bytes) -> Run:
    """Raises: ValueError, when it is not what `scripts/bench --json` writes."""
    return msgspec.json.decode(data, type=Run)


def with_noise(entry: dict[str, Any], measured: Measured) -> dict[str, Any]:
    """The entry with the quartiles of the rounds' own ratios to the first peer, and with `cpu`: the same of processor time."""
    if not measured.peers:
        return entry
    theirs = measured.peers[0].rounds
    found = {**entry, "ratio_spread": _of_ratios(measured.ours, theirs)[1]}
    if isinstance(measured.ours, Rounds) and isinstance(theirs, Rounds) and all(theirs.processor):
        ratio, spread = _of_ratios(measured.ours.processor, theirs.processor)
        found["cpu"] = {"ratio": ratio, "ratio_spread": spread}
    return found


def _of_ratios(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, list[float]]:
    """The median of the rounds' own ratios, and their quartiles."""
    ratios = [own / other for own, other in zip(ours, theirs, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return round(median, 3), [round(low, 3), round(high, 3)]


def compare(before: Run, now: Run, *, chosen: Sequence[str] | None = None) -> list[Changed]:
    """Every figure of either run, in the order of the later one; `chosen` are those that were to be measured, None: all."""
    known = {entry.name: entry for entry in before.figures}
    floor = QUICK_FLOOR if before.machine.quick or now.machine.quick else FLOOR
    same_machine = (before.machine.cpu, before.machine.cores) == (now.machine.cpu, now.machine.cores)
    found = [_compared(known.pop(entry.name, None), entry, floor, same_machine=same_machine) for entry in now.figures]
    gone = [name for name in known if chosen is None or name in chosen]
    return [
        *found,
        *(Changed(name=name, verdict=Change.NOT_MEASURED, why="there is no such figure now") for name in gone),
    ]


def _compared(before: Entry | None, now: Entry, floor: float, *, same_machine: bool) -> Changed:
    if now.value is None:
        return Changed(name=now.name, verdict=Change.NOT_MEASURED, why=now.skipped or now.failed)
    if before is None or before.value is None:
        return Changed(name=now.name, verdict=Change.NEW)
    if before.unit != now.unit:
        why = f"its unit was {before.unit or 'none'} and is {now.unit or 'none'}"
        return Changed(name=now.name, verdict=Change.INCOMPARABLE, why=why)
    earlier, later = _measures(before), _measures(now)
    by = next((by for by in later if by in earlier and (same_machine or by != now.unit)), None)
    if by is None:
        return Changed(
            name=now.name, verdict=Change.INCOMPARABLE, why="it has no ratio, and the machine is another one"
        )
    return _judged(now.name, by, earlier[by], later[by], floor, more_is_better=now.unit.endswith("/s"))


def _measures(entry: Entry) -> Mapping[str, Quartiles]:
    """By what it can be compared, the best first."""
    found: dict[str, Quartiles] = {}
    if entry.cpu is not None and entry.cpu.ratio:
        found["ratio of processor time"] = _quartiles(entry.cpu.ratio, entry.cpu.ratio_spread, entry)
    if entry.ratio:
        found[f"ratio to {entry.peer}"] = _quartiles(entry.ratio, entry.ratio_spread, entry)
    if entry.value:
        found[entry.unit] = _quartiles(entry.value, entry.spread, entry)
    return found


def _quartiles(median: float, spread: tuple[float, float] | None, entry: Entry) -> Quartiles:
    """A ratio whose quartiles were not written has those of our own side's rounds, in proportion."""
    low, high = spread or (median, median)
    if spread is None and entry.spread is not None and entry.value:
        low, high = (median * bound / entry.value for bound in entry.spread)
    return Quartiles(median, low, high)


def _judged(name: str, by: str, before: Quartiles, now: Quartiles, floor: float, *, more_is_better: bool) -> Changed:
    times = now.median / before.median
    change = (1 / times if more_is_better else times) - 1
    overlap = now.low <= before.high and before.low <= now.high
    verdict = Change.SLOWER if change > 0 else Change.FASTER
    if overlap or abs(change) <= floor:
        verdict = Change.SAME
    return Changed(name=name, verdict=verdict, by=by, before=before, now=now, change=round(change, 4))


def summary(found: Sequence[Changed]) -> str:
    """One line: how many of each."""
    return tally({verdict: sum(each.verdict is verdict for each in found) for verdict in Change}) or "no figures"


def comparison_table(found: Sequence[Changed]) -> Table:
    """One figure a row; what got slower first, the worst at the top."""
    made = Table(box=None, pad_edge=False)
    for column in ("figure", "before", "quartiles", "now", "quartiles", "change", "", "compared by"):
        left = column in ("figure", "", "compared by")
        made.add_column(column, justify="left" if left else "right", no_wrap=column != "compared by")
    for each in sorted(found, key=lambda each: (each.verdict is not Change.SLOWER, -(each.change or 0))):
        style = {Change.SLOWER: "[red]", Change.FASTER: "[green]"}.get(each.verdict, "[dim]")
        if each.before is None or each.now is None:
            made.add_row(escape(each.name), "", "", "", "", "", f"{style}{each.verdict}", escape(each.why))
            continue
        made.add_row(
            escape(each.name), *_shown(each.before), *_shown(each.now), f"{100 * (each.change or 0):+.0f} %",
            f"{style}{each.verdict}", escape(each.by),
        )  # fmt: skip
    return made


def _shown(found: Quartiles) -> tuple[str, str]:
    return f"{found.median:,.4g}", f"{found.low:,.4g}-{found.high:,.4g}"
