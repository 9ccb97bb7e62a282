"""Runs as one page that needs nothing else: outcomes, lanes of steps and containers over time, steps, reasons, outputs.

For people who look at a run later or elsewhere: no scripts, no fonts, no addresses; light and dark by their own wish.
Texts from files and containers are escaped. Not for programs: `json`, `journal`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actors.reporting.page import html_text, page_end, page_start
from actors.scenario.report.base import last_line, reasons, where
from actors.scenario.report.files import FileReport
from actors.scenario.report.lanes import OUTCOME_COLOURS, STATE_COLOURS, Lanes
from actors.scenario.stage.events import Outcome, Printed, RunStarted, StepEnded
from actors.scenario.stage.outputs import tail_text
from actors.scenario.stage.results import judgement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from actors.scenario.stage.events import Event
    from actors.scenario.stage.results import Result

__all__ = ["HtmlReport"]

# what the page shows of each stream of a process: its end
OUTPUT_SHOWN = 4000
# of one run; the journal has all
SHOWN_STEPS, SHOWN_OUTPUTS = 1000, 100

_STYLE = """
svg { width: 100%; height: auto; margin: .8rem 0; }
svg text { fill: var(--ink); font-size: 12px; } svg .tick { fill: var(--soft); } svg .grid { stroke: var(--line); stroke-width: .6; }
svg .ask { fill: #10304f; opacity: .75; } svg .ask.bad { fill: #ff2d1a; opacity: 1; }
"""


@dataclass
class _Run:
    started: RunStarted
    lanes: Lanes
    outputs: dict[tuple[str, str], bytearray] = field(default_factory=dict[tuple[str, str], bytearray])
    # those of which only the end is kept
    cut: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    result: Result | None = None


class HtmlReport(FileReport):
    """Writes the page to `stream` when it is closed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
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

    def close(self) -> None:
        if self._stream.closed:
            return
        self._stream.write("\n".join(_page(self._runs)) + "\n")
        self._stream.close()


def _page(runs: list[_Run]) -> Iterator[str]:
    colours = [f"svg .state.{state} {{ fill: {colour}; }}" for state, colour in STATE_COLOURS.items()]
    colours += [f"svg .step.{outcome} {{ fill: {colour}; }}" for outcome, colour in OUTCOME_COLOURS.items()]
    colours += [f".badge.{outcome} {{ background: {colour}; }}" for outcome, colour in OUTCOME_COLOURS.items()]
    yield page_start("katrio run", f"{_STYLE}{' '.join(colours)}")
    ended = [run.result.outcome for run in runs if run.result is not None]
    counts = ", ".join(f"{ended.count(outcome)} {outcome}" for outcome in Outcome if outcome in ended)
    yield f"<h1>katrio run: {len(runs)} scenario{'' if len(runs) == 1 else 's'}: {counts or 'none ended'}</h1>"
    for run in runs:
        yield from _article(run)
    yield page_end()


def _article(run: _Run) -> Iterator[str]:
    started, result = run.started, run.result
    outcome = result.outcome if result is not None else Outcome.INTERRUPTED
    yield f'<article>\n<h2><span class="badge {outcome}">{outcome}</span>{html_text(started.name)}</h2>'
    yield f'<p class="why">{html_text(started.why)}</p>'
    said = last_line(result) if result is not None else "interrupted before its end"
    yield f'<p class="soft"><code>{html_text(started.file)}</code>: {html_text(said)}</p>'
    if run.lanes.steps:
        yield run.lanes.svg()
        yield "<p class='soft'>" + " ".join(_legend(run)) + "</p>"
    failed = [step for step in run.lanes.steps if step.failure is not None]
    for step in failed:
        yield f"<p><strong>{html_text(where(step))}: {html_text(step.title)}</strong></p>"
        yield f"<pre>{html_text(chr(10).join(reasons(step)))}</pre>"
    if result is not None and result.thresholds:
        yield "<table><tr><th>threshold</th><th></th><th></th></tr>"
        for one in result.thresholds:
            yield f"<tr><td>{html_text(one.threshold)}</td><td>{judgement(one)}</td><td>{'held' if one.held else 'failed'}</td></tr>"
        yield "</table>"
    yield from _steps(run)
    yield from _outputs(run)
    yield "</article>"


def _legend(run: _Run) -> Iterator[str]:
    seen = {state for states in run.lanes.states.values() for _, state in states}
    for state, colour in STATE_COLOURS.items():
        if state in seen and state != "gone":
            yield f'<span class="badge" style="background:{colour}">{state}</span>'


def _steps(run: _Run) -> Iterator[str]:
    steps: list[StepEnded] = sorted(run.lanes.steps, key=lambda step: step.at - step.seconds)
    yield f"<details><summary>{len(steps)} steps</summary>\n<table>"
    yield "<tr><th></th><th>from</th><th>took</th><th>line</th><th>step</th><th>asks</th></tr>"
    for step in steps[:SHOWN_STEPS]:
        asks = ", ".join(f"{ask.verb} {ask.code or f'{ask.seconds * 1000:.1f} ms'}" for ask in step.asks[:6])
        indent = 1.2 * step.path.count(".")
        yield (
            f'<tr><td><span class="badge {step.outcome}">{step.outcome}</span></td>'
            f'<td class="number">{step.at - step.seconds:.3f} s</td><td class="number">{step.seconds:.3f} s</td>'
            f'<td>{html_text(where(step))}</td><td style="padding-left:{indent}rem">{html_text(step.title)}</td>'
            f'<td class="soft">{html_text(asks)}</td></tr>'
        )
    yield "</table>"
    if len(steps) > SHOWN_STEPS:
        yield f"<p class='soft'>and {len(steps) - SHOWN_STEPS} more</p>"
    yield "</details>"


def _outputs(run: _Run) -> Iterator[str]:
    if not run.outputs:
        return
    yield f"<details><summary>what was printed: {len(run.outputs)}</summary>"
    for (process, stream), data in list(run.outputs.items())[:SHOWN_OUTPUTS]:
        cut = (process, stream) in run.cut
        told = f"{process}, {stream}{f', its last {OUTPUT_SHOWN} bytes' if cut else ''}"
        yield f"<p>{html_text(told)}</p><pre>{html_text(tail_text(data, cut=cut))}</pre>"
    yield "</details>"
