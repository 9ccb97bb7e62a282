"""Expectations that can never hold: a state that there is not, a text where the value is always a number, conditions of which
no value meets all.

For the binder, once a step has its shape. A text with `${name}` in it is known only while the scenario runs, and is left
alone. Not for expectations that make no sense for a verb at all: the binder's own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from actors.scenario.language.conditions import STATES, Conditions, contradiction
from actors.scenario.language.values import substitute, variables_in
from actors.scenario.steps.base import ANYTHING, CODE, COUNT, StepFault, Values
from actors.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.scenario.language.conditions import Expect
    from actors.scenario.steps.base import Step

__all__ = ["contradictions"]

# what conditions that are not on a step's own value are about
_FACETS = {
    "message": ANYTHING,
    "took": COUNT,
    "exit": CODE,
    "stdout": ANYTHING,
    "stderr": ANYTHING,
    "state": Values(choices=STATES),
}


def contradictions(step: Step) -> Iterator[StepFault]:
    """Each of a step's expectations that can't hold."""
    expect = step.expect
    if expect is None:
        return
    yield from _no_such(expect, step.values, ("expect",))
    for name in ("state", "exit", "took"):
        if (conditions := getattr(expect, name)) is not None:
            yield from _no_such(conditions, _FACETS[name], ("expect", name))
    for words, conditions, values in _all(step, expect):
        if why := _contradiction(conditions, values.least, values.most):
            yield StepFault(words, f"{why}, which nothing can meet", "conditions that a value can meet")


def _all(step: Step, expect: Expect) -> Iterator[tuple[tuple[str, ...], Conditions, Values]]:
    """Every conditions of a step, where they stand, and what their value can be."""
    yield ("expect",), expect, step.values
    for name, values in _FACETS.items():
        if (conditions := getattr(expect, name)) is not None:
            yield ("expect", name), conditions, values
    for path, conditions in (expect.json or {}).items():
        yield ("expect", "json", path), conditions, ANYTHING


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


def _no_such(conditions: Conditions, values: Values, words: tuple[str, ...]) -> Iterator[StepFault]:
    """What the value must equal and can't be: no number, or none of a few words."""
    for text in _texts(conditions):
        if values.number:
            try:
                float(text)
            except ValueError:
                yield StepFault(words, repr(text), "a number")
        elif values.choices and text.rstrip("\r\n") not in values.choices:
            yield StepFault(words, repr(text), f"one of {', '.join(values.choices)}", nearest(text, values.choices))


def _texts(conditions: Conditions) -> Iterator[str]:
    """What the value must equal, as far as that is known before anything runs."""
    for text in (conditions.equals, *(conditions.one_of or ())):
        if text is not None and not variables_in(text):
            yield text
