"""What a refused verb says: every refusal has advice, and following it leads to where the verb is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from actors.errors import GuestDied, InvalidTransition
from actors.lifecycle.container import CONTAINER, ContainerState
from actors.lifecycle.process import PROCESS, ProcessState
from actors.lifecycle.sandbox import SANDBOX, SandboxState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.lifecycle.table import Lifecycle

LEADS_TO = {"start it first": "running", "resume it first": "running", "stop it first": "stopped"}


def refusals() -> Iterator[tuple[Lifecycle[Any, Any], str, Any]]:
    for machine, states in ((CONTAINER, ContainerState), (SANDBOX, SandboxState), (PROCESS, ProcessState)):
        for verb, allowed in machine.verbs.items():
            yield from ((machine, verb, state) for state in states if state not in allowed)


@pytest.mark.parametrize(
    ("machine", "verb", "state"), list(refusals()), ids=lambda value: getattr(value, "noun", str(value))
)
def test_advice_can_be_followed(machine: Lifecycle[Any, Any], verb: str, state: Any) -> None:
    with pytest.raises(GuestDied if state == "lost" else InvalidTransition) as caught:
        machine.check(verb, state, "one")
    assert caught.value.details == {"state": str(state), "verb": verb}
    assert state in caught.value.message or state == "lost"
    for step, target in LEADS_TO.items():
        if step in caught.value.message:
            first = step.split()[0]
            assert state in machine.verbs[first], "what is to be done first is allowed"
            assert target in machine.verbs[verb], "and after it the verb is"


@pytest.mark.parametrize(
    ("verb", "state", "advice"),
    [
        ("start", "running", "started already"),
        ("start", "paused", "resume"),
        ("start", "stopped", "create it again"),
        ("pause", "paused", "paused already"),
        ("resume", "running", "not paused"),
        ("resume", "ready", "not paused"),
        ("exec", "paused", "resume it first"),
        ("delete", "running", "stop it first"),
        ("delete", "ready", "stop it first"),
    ],
)
def test_a_container_is_told_what_fits(verb: str, state: str, advice: str) -> None:
    with pytest.raises(InvalidTransition, match=advice):
        CONTAINER.check(verb, ContainerState(state), "one")
