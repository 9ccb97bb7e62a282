"""Two journals, step by step: what came of the same scenario in two worlds, with two agents, or twice.

For `katrio run --diff`. Reads what `--journal` writes, or what `--json` prints. Outcomes, errors, exit codes and states
count as differences; values (what a look saw) differ from moment to moment, and are shown without counting. Pure.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Difference", "JournalError", "RecordedRun", "compare", "read_journal"]

_COUNTING = ("outcome", "error", "exit", "state")


class JournalError(Exception):
    """A file is no journal; the message says where and why."""


class _Seen(msgspec.Struct):
    value: Any = None
    exit: int | None = None
    state: str = ""
    error: str = ""


class _Step(msgspec.Struct):
    path: str
    title: str
    outcome: str
    line: int = 0
    seen: _Seen | None = None


class _Line(msgspec.Struct):
    """Any line of a journal, or a result; fields that are not compared are left out."""

    event: str = "result"
    file: str = ""
    name: str = ""
    world: str = ""
    agent: str = ""
    outcome: str = ""
    reason: str = ""
    path: str = ""
    title: str = ""
    line: int = 0
    seen: _Seen | None = None
    steps: Any = None


@dataclass
class RecordedRun:
    """One run of one scenario, as a journal has it."""

    name: str
    world: str
    agent: str
    outcome: str = "not ended"
    reason: str = ""
    steps: list[_Step] = field(default_factory=list[_Step])


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that was not the same; `counts` is False for a mere value."""

    run: str
    step: str
    what: str
    left: str
    right: str
    counts: bool


def read_journal(data: bytes, file: str) -> list[RecordedRun]:
    """The runs of a journal. Raises: JournalError."""
    runs: list[RecordedRun] = []
    for number, text in enumerate(data.splitlines(), 1):
        if not text.strip():
            continue
        try:
            line = msgspec.json.decode(text, type=_Line)
            # a run's first line counts its steps, a result lists them
            steps = msgspec.convert(line.steps, list[_Step] | None) if line.event == "result" else None
        except msgspec.MsgspecError as error:
            raise JournalError(f"{file}:{number}: found {error}, expected a line of --journal or --json") from None
        match line.event:
            case "run_started":
                runs.append(RecordedRun(line.name, line.world, line.agent))
            case "step_ended" if runs:
                runs[-1].steps.append(_Step(line.path, line.title, line.outcome, line.line, line.seen))
            case "result":
                if steps is not None or not runs:
                    runs.append(RecordedRun(line.name, line.world, line.agent, steps=steps or []))
                runs[-1].outcome, runs[-1].reason = line.outcome, line.reason
            case _:
                pass
    if not runs:
        raise JournalError(f"{file}: found no run, expected a file that --journal wrote or --json printed")
    return runs


def compare(left: Sequence[RecordedRun], right: Sequence[RecordedRun]) -> Iterator[Difference]:
    """What is not the same, in the order of the left one; runs are matched by name, then by order."""
    rest = list(right)
    for one in left:
        other = next((run for run in rest if run.name == one.name), None)
        if other is None:
            yield Difference(one.name, "", "run", one.outcome, "not there", counts=True)
            continue
        rest.remove(other)
        yield from _runs(one, other)
    for other in rest:
        yield Difference(other.name, "", "run", "not there", other.outcome, counts=True)


def _runs(one: RecordedRun, other: RecordedRun) -> Iterator[Difference]:
    if one.outcome != other.outcome:
        left = f"{one.outcome} {one.reason}".strip()
        right = f"{other.outcome} {other.reason}".strip()
        yield Difference(one.name, "", "outcome", left, right, counts=True)
    # rounds of a step share its path, and those that go on at once end in any order: they are compared as they ended
    for path in dict.fromkeys(step.path for step in itertools.chain(one.steps, other.steps)):
        ours = [step for step in one.steps if step.path == path]
        theirs = [step for step in other.steps if step.path == path]
        if len(ours) != len(theirs):
            name = _name((ours or theirs)[0])
            yield Difference(one.name, name, "times it ended", str(len(ours)), str(len(theirs)), counts=True)
            continue
        for mine, its in zip(sorted(ours, key=_key), sorted(theirs, key=_key), strict=True):
            yield from _steps(one.name, mine, its)


def _key(step: _Step) -> str:
    return f"{step.title} {_facts(step)}"


def _name(step: _Step) -> str:
    return f"line {step.line}: {step.title}"


def _facts(step: _Step) -> dict[str, Any]:
    seen = step.seen or _Seen()
    return {"outcome": step.outcome, "error": seen.error, "exit": seen.exit, "state": seen.state, "value": seen.value}


def _steps(run: str, mine: _Step, its: _Step) -> Iterator[Difference]:
    ours, theirs = _facts(mine), _facts(its)
    for what, left in ours.items():
        right = theirs[what]
        if left != right:
            yield Difference(run, _name(mine), what, _show(left), _show(right), counts=what in _COUNTING)


def _show(value: Any) -> str:
    return "none" if value in (None, "") else repr(value) if isinstance(value, str) and " " in value else str(value)
