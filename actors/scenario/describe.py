"""A step in a few words, for people: `pause still`, `eventually lines still`.

Pure. For the journal's titles, where a step has no `name` of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.scenario.model import FaultOf, ProbeOf, Step
from actors.scenario.scalars import SIGNALS
from actors.scenario.verbs import (
    Call,
    Exec,
    ForEach,
    Grows,
    Parallel,
    Race,
    Rate,
    Repeat,
    Signal,
    Sleep,
    Stdin,
    Winsize,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["describe"]

COMMAND_SHOWN = 40


def describe(step: Step) -> str:
    """One line; names the verb, what it acts on, and what tells it from its like."""
    what = getattr(step, step.word)
    words = [step.word]
    if isinstance(what, Step):
        words.append(describe(what))
    elif isinstance(what, ProbeOf):
        words += [what.kind, what.container]
    elif isinstance(what, FaultOf):
        words += [what.kind, what.sandbox]
    elif isinstance(what, str) and not isinstance(step, Rate):
        words.append(what)
    words += _details(step)
    return " ".join(words)


def _details(step: Step) -> Sequence[str]:
    match step:
        case Exec(command=command):
            line = " ".join(command)
            return [line if len(line) <= COMMAND_SHOWN else f"{line[: COMMAND_SHOWN - 3]}..."]
        case Signal(with_=number):
            return [next((name for name, value in SIGNALS.items() if value == number), str(number))]
        case Winsize(rows=rows, columns=columns):
            return [f"{rows}x{columns}"]
        case Stdin(text=text):
            return [f"{len(text.encode())} bytes"]
        case Sleep(sleep=seconds):
            return [f"{seconds:g} s"]
        case Call(verb=verb):
            return [verb]
        case ForEach(for_each=each, as_=name):
            return [f"{len(each.texts)} times" if each.texts else f"{name} by labels"]
        case Rate(rate=rate, during=seconds):
            return [f"{rate} a second for {seconds:g} s"]
        case Parallel(parallel=branches) | Race(race=branches):
            return [f"{len(branches)} branches"]
        case Grows(by=by):
            return [f"by {by}"]
        case Repeat(repeat=times, steps=steps):
            return [f"{times} times {len(steps)} steps"]
        case _:
            return []
