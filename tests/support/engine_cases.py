"""The table of the engine port's cases; the bodies put themselves into it when they are imported.

Not the cases themselves: `engine_body` has those of processes and streams, `engine_fields` those of a specification's fields, `engine_groups` those of lists and limits, `engine_programs` those of programs that can't be run,
`engine_refusals` those of what a runtime refuses in words of its own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.rooms import Room

    Case = Callable[[Room], Awaitable[None]]

__all__ = ["CASES", "NEEDS", "case", "names"]

# name -> the case; NEEDS: name -> what it needs of `groups` (control groups), `isolation` (roots, users, namespaces) and `kernel` (facts that
# only this machine's kernel has)
CASES: dict[str, Case] = {}
NEEDS: dict[str, frozenset[str]] = {}


def case(*needs: str) -> Callable[[Case], Case]:
    """Put it into the table."""

    def put(function: Case) -> Case:
        CASES[function.__name__] = function
        NEEDS[function.__name__] = frozenset(needs)
        return function

    return put


def names(*, lacking: frozenset[str]) -> list[str]:
    """The cases of an engine that lacks these."""
    for body in ("engine_body", "engine_fields", "engine_groups", "engine_programs", "engine_refusals"):
        importlib.import_module(f"tests.support.{body}")
    return [name for name in CASES if not NEEDS[name] & lacking]
