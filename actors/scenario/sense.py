"""Expectations that can never hold: a state that there is not, a text where the value is always a number, conditions of which
no value meets all.

For the binder, once a step has its shape. A text with `${name}` in it is known only while the scenario runs, and is left
alone. Not for expectations that make no sense for a verb at all: the binder's own.
"""

from __future__ import annotations

import re
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from actors.lifecycle.container import ContainerState
from actors.lifecycle.sandbox import SandboxState
from actors.likeness import nearest
from actors.scenario.expect import contradiction
from actors.scenario.model import Conditions
from actors.scenario.scalars import substitute, variables_in
from actors.scenario.verbs import Rate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.scenario.model import Expect, Step

__all__ = ["MAX_RATE", "STATES", "Senseless", "senseless"]

# of `rate`, a second: what one event loop can begin at all
MAX_RATE = 1000
# in the order of a life
STATES = tuple(dict.fromkeys(str(state) for state in (*ContainerState, *SandboxState)))
# verbs whose value is one of a few words
_CHOICES = {"state": STATES, "check": ("serving", "not serving")}
# verbs whose value is a number
_NUMBERS = frozenset({"bytes", "lines", "race", "rate", "signal", "stdin", "stop", "wait"})
# and what those can be; an exit code as a shell tells it
_COUNT, _CODE, _ANY = (0.0, inf), (0.0, 255.0), (-inf, inf)


class Senseless(NamedTuple):
    """One such expectation: where it stands below its step, and the words for it."""

    words: tuple[str, ...]
    found: str
    expected: str
    like: str = ""


def senseless(step: Step) -> Iterator[Senseless]:
    """Each of a step's expectations that can't hold, and a rate that is none."""
    if isinstance(step, Rate) and not variables_in(step.rate) and not 0 < float(step.rate) <= MAX_RATE:
        yield Senseless(("rate",), step.rate, f"more than 0 and at most {MAX_RATE} rounds a second")
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
    for words, conditions, (least, most) in _all(step, expect):
        if why := _contradiction(conditions, least, most):
            yield Senseless(words, f"{why}, which nothing can meet", "conditions that a value can meet")


def _all(step: Step, expect: Expect) -> Iterator[tuple[tuple[str, ...], Conditions, tuple[float, float]]]:
    """Every conditions of a step, where they stand, and what their value can be."""
    own = _CODE if step.word in ("stop", "wait") else _COUNT if step.word in _NUMBERS else _ANY
    yield ("expect",), expect, own
    for name, limits in (
        ("message", _ANY), ("took", _COUNT), ("exit", _CODE), ("stdout", _ANY), ("stderr", _ANY), ("state", _ANY),
    ):  # fmt: skip
        if (conditions := getattr(expect, name)) is not None:
            yield ("expect", name), conditions, limits
    for path, conditions in (expect.json or {}).items():
        yield ("expect", "json", path), conditions, _ANY


def _contradiction(conditions: Conditions, least: float, most: float) -> str:
    """Of what is known before anything runs."""
    known: dict[str, object] = {}
    for name in Conditions.__struct_fields__:
        found = getattr(conditions, name)
        texts = (found,) if isinstance(found, str) else found or ()
        if texts and not any(variables_in(text) for text in texts):
            plain = tuple(substitute(text, {}) for text in texts)
            known[name] = plain[0] if isinstance(found, str) else plain
    if "matches" in known and not _is_regex(str(known["matches"])):
        return ""
    return contradiction(Conditions(**known), least, most)  # type: ignore[arg-type]  # each as it was


def _is_regex(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


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
