"""One run as a drawing: a lane for the steps and one for each container, over the run's own time. SVG, nothing else.

For `html`. Pure. States are bands, asks are marks on them: red ones had an error. Not for numbers: the page's table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actors.reporting.page import joined, tag
from actors.reporting.texts import duration
from actors.scenario.stage.events import Outcome, StateObserved, StepEnded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from actors.reporting.page import Markup
    from actors.scenario.stage.events import AskRecord, Event

__all__ = ["OUTCOME_COLOURS", "STATE_COLOURS", "STYLE", "Lanes"]

LABELS, WIDTH, LANE, STEP = 170, 1000, 26, 14
# a run of thousands of steps is drawn by its first ones; the table has all
DRAWN_STEPS, DRAWN_ASKS, DRAWN_LANES = 400, 2000, 64


@dataclass
class Lanes:
    """Collects events of one run, then draws."""

    containers: tuple[str, ...]
    states: dict[str, list[tuple[float, str]]] = field(default_factory=dict[str, list[tuple[float, str]]])
    steps: list[StepEnded] = field(default_factory=list[StepEnded])
    end: float = 0.0

    def event(self, event: Event) -> None:
        """Take note."""
        self.end = max(self.end, event.at)
        if isinstance(event, StateObserved):
            self.states.setdefault(event.name, []).append((event.at, event.state))
        elif isinstance(event, StepEnded):
            self.steps.append(event)

    def svg(self) -> Markup:
        """The drawing."""
        rows = _rows(sorted((step for step in self.steps if "." not in step.path), key=_began)[:DRAWN_STEPS])
        top = max(1, len(rows)) * STEP + 6
        made = [name for name in self.states if "/" in name and name not in self.containers]
        lanes = [*self.containers, *made][:DRAWN_LANES]
        height = top + len(lanes) * LANE + 24
        parts = [tag("text", "steps", x=0, y=STEP - 3)]
        for number, row in enumerate(rows):
            parts += [self._step(step, number * STEP) for step in row]
        for number, name in enumerate(lanes):
            parts += self._lane(name, top + number * LANE)
        parts += self._axis(top + len(lanes) * LANE, height)
        accessible = {"role": "img", "aria_label": "steps and containers over time"}
        return tag("svg", joined(parts, "\n"), viewBox=f"0 0 {LABELS + WIDTH + 10} {height}", **accessible)

    def _x(self, at: float) -> float:
        return LABELS + WIDTH * at / (self.end or 1.0)

    def _band(self, title: str, kind: str, begin: float, end: float, y: int, height: int, least: float = 0.0) -> Markup:
        """From one moment to another, with words that are shown when it is pointed at."""
        x = self._x(begin)
        width = max(least, self._x(end) - x)
        rect = tag("rect", kind=kind, x=f"{x:.1f}", y=y, width=f"{width:.1f}", height=height)
        return tag("g", tag("title", title), rect)

    def _step(self, step: StepEnded, y: int) -> Markup:
        title = f"line {step.line}: {step.title} ({step.seconds:.3f} s): {step.outcome}"
        return self._band(title, f"step {step.outcome}", _began(step), step.at, y, STEP - 3, 1.5)

    def _lane(self, name: str, y: int) -> Iterator[Markup]:
        yield tag("text", name, x=0, y=f"{y + LANE / 2 + 4:g}")
        seen = self.states.get(name, [])
        for (at, state), until in zip(seen, [*(at for at, _ in seen[1:]), self.end], strict=True):
            yield self._band(f"{name}: {state} from {at:.3f} s", f"state {state}", at, until, y + 5, LANE - 10)
        for ask in self._asks(name):
            title = f"{ask.verb}: {ask.code or 'ok'} in {duration(ask.seconds)}"
            kind = "ask bad" if ask.code else "ask"
            yield self._band(title, kind, ask.at, ask.at + ask.seconds, y + 9, LANE - 18, 1.0)

    def _asks(self, name: str) -> Sequence[AskRecord]:
        return [ask for step in self.steps for ask in step.asks if ask.to == name][:DRAWN_ASKS]

    def _axis(self, y: int, height: int) -> Iterator[Markup]:
        for tenth in range(11):
            x = f"{LABELS + WIDTH * tenth / 10:.1f}"
            yield tag("line", kind="grid", x1=x, y1=0, x2=x, y2=y)
            anchor = "end" if tenth == 10 else "middle"
            yield tag("text", f"{self.end * tenth / 10:.2f} s", kind="tick", x=x, y=height - 8, text_anchor=anchor)


def _began(step: StepEnded) -> float:
    return step.at - step.seconds


def _rows(steps: Sequence[StepEnded]) -> list[list[StepEnded]]:
    """Steps of the file's own list follow each other, but `finally` of a cancelled run may overlap: no two in one row do."""
    rows: list[list[StepEnded]] = []
    for step in steps:
        row = next((row for row in rows if row[-1].at <= _began(step)), None)
        if row is None:
            rows.append([step])
        else:
            row.append(step)
    return rows


STATE_COLOURS: Mapping[str, str] = {
    "creating": "#9db7d5",
    "ready": "#6f9bd1",
    "starting": "#8fc7a0",
    "running": "#3f9d5a",
    "paused": "#35a7b5",
    "stopping": "#d7b45a",
    "stopped": "#9a9a9a",
    "lost": "#d0463b",
    "gone": "transparent",
}
OUTCOME_COLOURS: Mapping[str, str] = {
    Outcome.HELD: "#3f9d5a",
    Outcome.FAILED: "#d0463b",
    Outcome.ERROR: "#a346b5",
    Outcome.SKIPPED: "#d7a12f",
    Outcome.CANCELLED: "#9a9a9a",
    Outcome.INTERRUPTED: "#a346b5",
}
_FILLS = [
    *(f"svg .state.{state} {{ fill: {colour}; }}" for state, colour in STATE_COLOURS.items()),
    *(f"svg .step.{outcome} {{ fill: {colour}; }}" for outcome, colour in OUTCOME_COLOURS.items()),
]
STYLE = f"""
svg {{ width: 100%; height: auto; margin: .8rem 0; }} svg .step {{ rx: 2px; }}
svg text {{ fill: var(--ink); font-size: 12px; }} svg .tick {{ fill: var(--soft); }} svg .grid {{ stroke: var(--line); stroke-width: .6; }}
svg .ask {{ fill: #10304f; opacity: .75; }} svg .ask.bad {{ fill: #ff2d1a; opacity: 1; }}
{" ".join(_FILLS)}
"""
