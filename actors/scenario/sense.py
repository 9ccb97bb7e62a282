"""Expectations that can never hold: a state that there is not, a text where the value is always a number.

For the binder, once a step has its shape. A text with `${name}` in it is known only while the scenario runs, and is left
alone. Not for expectations that make no sense for a verb at all: the binder's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from actors.lifecycle.container import ContainerState
from actors.lifecycle.sandbox import SandboxState
from actors.likeness import nearest
from actors.scenario.scalars import variables_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.scenario.model import Conditions, Step

__all__ = ["STATES", "Senseless", "senseless"]

# in the order of a life
STATES = tuple(dict.fromkeys(str(state) for state in (*ContainerState, *SandboxState)))
# verbs whose value is one of a few words
_CHOICES = {"state": STATES, "check": ("serving", "not serving")}
# verbs whose value is a number
_NUMBERS = frozenset({"bytes", "lines", "race", "rate", "signal", "stdin", "stop", "wait"})


class Senseless(NamedTuple):
    """One such expectation: where it stands below its step, and the words for it."""

    words: tuple[str, ...]
    found: str
    expected: str
    like: str = ""


def senseless(step: Step) -> Iterator[Senseless]:
    """Each of a step's expectations that can't hold."""
    expect = step.expect
    if expect is None:
        return
    if step.word in _NUMBERS:
        yield from _no_number(expect, ("expect",))
    yield from _no_choice(expect, _CHOICES.get(step.word, ()), ("expect",))
    if expect.state is not None:
        yield from _no_choice(expect.state, STATES, ("expect", "state"))
    for name, conditions in (("exit", expect.exit), ("took", expect.took)):
        if conditions is not None:
            yield from _no_number(conditions, ("expect", name))


def _no_number(conditions: Conditions, words: tuple[str, ...]) -> Iterator[Senseless]:
    for text in _texts(conditions):
        try:
            float(text)
        except ValueError:
            yield Senseless(words, repr(text), "a number")


def _no_choice(conditions: Conditions, choices: tuple[str, ...], words: tuple[str, ...]) -> Iterator[Senseless]:
    for text in _texts(conditions) if choices else ():
        if text.rstrip("\r\n") not in choices:
            yield Senseless(words, repr(text), f"one of {', '.join(choices)}", nearest(text, choices))


def _texts(conditions: Conditions) -> Iterator[str]:
    """What the value must equal, as far as that is known before anything runs."""
    for text in (conditions.equals, *(conditions.one_of or ())):
        if text is not None and not variables_in(text):
            yield text
