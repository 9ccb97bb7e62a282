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
    from collections.abc import Callable, Sequence

__all__ = ["describe"]

COMMAND_SHOWN = 40


def describe(step: Step, text: Callable[[str], str] = str) -> str:
    """One line; names the verb, what it acts on, and what tells it from its like. `text` puts values into texts."""
    what = getattr(step, step.word)
    words = [step.word]
    if isinstance(what, Step):
        words.append(describe(what, text))
    elif isinstance(what, ProbeOf):
        words += [what.kind, text(what.container)]
    elif isinstance(what, FaultOf):
        words += [what.kind, text(what.sandbox)]
    elif isinstance(what, str) and not isinstance(step, Rate):
        words.append(text(what))
    words += _details(step, text)
    return " ".join(words)


def _shown(line: str) -> str:
    if len(line) <= COMMAND_SHOWN:
        return line
    line = line[: COMMAND_SHOWN - 3]
    # a value's name is shown whole or not at all
    begun = line.rfind("${")
    return f"{line[:begun] if begun > line.rfind('}') else line}..."


def _details(step: Step, text: Callable[[str], str]) -> Sequence[str]:
    match step:
        case Exec(command=command):
            return [_shown(" ".join(text(word) for word in command))]
        case Signal(with_=number):
            return [next((name for name, value in SIGNALS.items() if value == number), str(number))]
        case Winsize(rows=rows, columns=columns):
            return [f"{rows}x{columns}"]
        case Stdin(text=written):
            return [f"{len(text(written).encode())} bytes"]
        case Sleep(sleep=seconds):
            return [f"{seconds:g} s"]
        case Call(verb=verb):
            return [verb]
        case ForEach(for_each=each, as_=name):
            return [f"{len(each.texts)} times" if each.texts else f"{name} by labels"]
        case Rate(rate=rate, during=seconds):
            return [f"{text(rate)} a second for {seconds:g} s"]
        case Parallel(parallel=branches) | Race(race=branches):
            return [f"{len(branches)} branches"]
        case Grows(by=by):
            return [f"by {by}"]
        case Repeat(repeat=times, steps=steps):
            return [f"{times} times {len(steps)} steps"]
        case _:
            return []
