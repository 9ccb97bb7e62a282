"""One run as a drawing: a lane for the steps and one for each container, over the run's own time. SVG, nothing else.

For `html`. Pure. States are bands, asks are marks on them: red ones had an error. Not for numbers: the page's table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actors.reporting.page import html_text
from actors.scenario.stage.events import Outcome, StateSeen, StepEnded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from actors.scenario.stage.events import AskRecord, Event

__all__ = ["Lanes"]

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
        if isinstance(event, StateSeen):
            self.states.setdefault(event.name, []).append((event.at, event.state))
        elif isinstance(event, StepEnded):
            self.steps.append(event)

    def svg(self) -> str:
        """The drawing."""
        rows = _rows(sorted((step for step in self.steps if "." not in step.path), key=_began)[:DRAWN_STEPS])
        top = max(1, len(rows)) * STEP + 6
        made = [name for name in self.states if "/" in name and name not in self.containers]
        lanes = [*self.containers, *made][:DRAWN_LANES]
        height = top + len(lanes) * LANE + 24
        parts = [
            f'<svg viewBox="0 0 {LABELS + WIDTH + 10} {height}" role="img" aria-label="steps and containers over time">',
            f'<text class="label" x="0" y="{STEP - 3}">steps</text>',
        ]
        for number, row in enumerate(rows):
            parts += [self._step(step, number * STEP) for step in row]
        for number, name in enumerate(lanes):
            parts += self._lane(name, top + number * LANE)
        parts += self._axis(top + len(lanes) * LANE, height)
        return "\n".join([*parts, "</svg>"])

    def _x(self, at: float) -> float:
        return LABELS + WIDTH * at / (self.end or 1.0)

    def _step(self, step: StepEnded, y: int) -> str:
        x = self._x(_began(step))
        width = max(1.5, self._x(step.at) - x)
        title = html_text(f"line {step.line}: {step.title} ({step.seconds:.3f} s): {step.outcome}")
        rect = f'<rect class="step {step.outcome}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{STEP - 3}" rx="2"/>'
        return f"<g><title>{title}</title>{rect}</g>"

    def _lane(self, name: str, y: int) -> Iterator[str]:
        yield f'<text class="label" x="0" y="{y + LANE / 2 + 4}">{html_text(name)}</text>'
        seen = self.states.get(name, [])
        for (at, state), until in zip(seen, [*(at for at, _ in seen[1:]), self.end], strict=True):
            x, width = self._x(at), self._x(until) - self._x(at)
            rect = f'<rect class="state {html_text(state)}" x="{x:.1f}" y="{y + 5}" width="{width:.1f}" height="{LANE - 10}"/>'
            yield f"<g><title>{html_text(f'{name}: {state} from {at:.3f} s')}</title>{rect}</g>"
        for ask in self._asks(name):
            x = self._x(ask.at)
            width = max(1.0, self._x(ask.at + ask.seconds) - x)
            kind = "ask bad" if ask.code else "ask"
            title = html_text(f"{ask.verb}: {ask.code or 'ok'} in {ask.seconds * 1000:.1f} ms")
            rect = f'<rect class="{kind}" x="{x:.1f}" y="{y + 9}" width="{width:.1f}" height="{LANE - 18}"/>'
            yield f"<g><title>{title}</title>{rect}</g>"

    def _asks(self, name: str) -> Sequence[AskRecord]:
        return [ask for step in self.steps for ask in step.asks if ask.to == name][:DRAWN_ASKS]

    def _axis(self, y: int, height: int) -> Iterator[str]:
        for tenth in range(11):
            x = LABELS + WIDTH * tenth / 10
            yield f'<line class="grid" x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{y}"/>'
            anchor = "end" if tenth == 10 else "middle"
            yield f'<text class="tick" x="{x:.1f}" y="{height - 8}" text-anchor="{anchor}">{self.end * tenth / 10:.2f} s</text>'


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


STATE_COLOURS = {
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
OUTCOME_COLOURS = {
    Outcome.HELD: "#3f9d5a",
    Outcome.FAILED: "#d0463b",
    Outcome.ERROR: "#a346b5",
    Outcome.SKIPPED: "#d7a12f",
    Outcome.CANCELLED: "#9a9a9a",
    Outcome.INTERRUPTED: "#a346b5",
}
