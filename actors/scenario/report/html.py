"""Runs as one page that needs nothing else: outcomes, lanes of steps and containers over time, steps, reasons, outputs.

For people who look at a run later or elsewhere: no scripts, no fonts, no addresses; light and dark by their own wish.
Not for programs: `lines`, `journal`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actors.reporting.page import badge, bar, folded, joined, page, row, table, tag
from actors.reporting.texts import counted, duration, tally
from actors.scenario.report.base import RunReport, last_line, outcome_counts, reasons, where
from actors.scenario.report.lanes import OUTCOME_COLOURS, STATE_COLOURS, STYLE, Lanes
from actors.scenario.stage.events import Outcome, Printed, RunStarted, StepEnded
from actors.scenario.stage.outputs import tail_text
from actors.scenario.stage.results import judgement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.reporting.page import Markup
    from actors.scenario.stage.events import Event
    from actors.scenario.stage.results import Result

__all__ = ["HtmlReport"]

# what the page shows of each stream of a process: its end
OUTPUT_SHOWN = 4000
# of one run; the journal has all
SHOWN_STEPS, SHOWN_OUTPUTS = 1000, 100


@dataclass
class _Run:
    started: RunStarted
    lanes: Lanes
    outputs: dict[tuple[str, str], bytearray] = field(default_factory=dict[tuple[str, str], bytearray])
    # those of which only the end is kept
    cut: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    result: Result | None = None


class HtmlReport(RunReport):
    """`text` is one page of all runs."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []

    def event(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._runs.append(_Run(event, Lanes(event.containers)))
        run = self._runs[-1]
        run.lanes.event(event)
        if isinstance(event, Printed):
            kept = run.outputs.setdefault((event.process, event.stream), bytearray())
            kept += event.data
            if len(kept) > OUTPUT_SHOWN:
                run.cut.add((event.process, event.stream))
                del kept[:-OUTPUT_SHOWN]

    def result(self, result: Result) -> None:
        self._runs[-1].result = result

    def text(self) -> str:
        """What there is by now."""
        return page("katrio run", _page(self._runs), STYLE)


def _page(runs: list[_Run]) -> Iterator[Markup]:
    counts = outcome_counts([run.result.outcome for run in runs if run.result is not None])
    yield tag("h1", f"katrio run: {counted(len(runs), 'scenario')}: {tally(counts) or 'none ended'}")
    yield bar(counts, OUTCOME_COLOURS)
    for run in runs:
        yield tag("article", "\n", joined(_article(run), "\n"), "\n")


def _article(run: _Run) -> Iterator[Markup]:
    started, result = run.started, run.result
    outcome = result.outcome if result is not None else Outcome.INTERRUPTED
    yield tag("h2", badge(outcome, OUTCOME_COLOURS[outcome]), started.name)
    yield tag("p", started.why, kind="why")
    said = last_line(result) if result is not None else "interrupted before its end"
    yield tag("p", tag("code", started.file), f": {said}", kind="soft")
    if run.lanes.steps:
        yield run.lanes.svg()
        yield tag("p", *_legend(run), kind="soft")
    for step in run.lanes.steps:
        if step.failure is not None:
            yield tag("p", tag("strong", f"{where(step)}: {step.title}"))
            yield tag("pre", "\n".join(reasons(step)))
    if result is not None and result.thresholds:
        rows = (row(one.threshold, judgement(one), "held" if one.held else "failed") for one in result.thresholds)
        yield table(("threshold", "", ""), rows)
    yield _steps(run)
    if run.outputs:
        yield _outputs(run)


def _legend(run: _Run) -> Iterator[Markup]:
    seen = {state for states in run.lanes.states.values() for _, state in states}
    for state, colour in STATE_COLOURS.items():
        if state in seen and state != "gone":
            yield badge(state, colour)


def _steps(run: _Run) -> Markup:
    steps: list[StepEnded] = sorted(run.lanes.steps, key=lambda step: step.at - step.seconds)
    shown = table(("", "from", "took", "line", "step", "asks"), map(_step, steps[:SHOWN_STEPS]))
    more = [tag("p", f"and {len(steps) - SHOWN_STEPS} more", kind="soft")] if len(steps) > SHOWN_STEPS else []
    return folded(counted(len(steps), "step"), shown, *more)


def _step(step: StepEnded) -> Markup:
    asks = ", ".join(f"{ask.verb} {ask.code or duration(ask.seconds)}" for ask in step.asks[:6])
    indent = 1.2 * step.path.count(".")
    return row(
        badge(step.outcome, OUTCOME_COLOURS[step.outcome]),
        (f"{step.at - step.seconds:.3f} s", "number"),
        (f"{step.seconds:.3f} s", "number"),
        where(step),
        tag("div", step.title, style=f"padding-left:{indent:g}rem" if indent else ""),
        (asks, "soft"),
    )


def _outputs(run: _Run) -> Markup:
    shown: list[Markup] = []
    for (process, stream), data in list(run.outputs.items())[:SHOWN_OUTPUTS]:
        cut = (process, stream) in run.cut
        shown.append(tag("p", f"{process}, {stream}{f', its last {OUTPUT_SHOWN} bytes' if cut else ''}"))
        shown.append(tag("pre", tail_text(data, cut=cut)))
    return folded(f"what was printed: {len(run.outputs)}", *shown)
