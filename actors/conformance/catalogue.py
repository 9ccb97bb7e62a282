"""All cases, by family, and the selection for one agent.

For the command and for tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.cases import (
    beside,
    create,
    execs,
    guest,
    health,
    hyperstart,
    hyperstart_fatal,
    hyperstart_streams,
    links,
    pause,
    races,
    remove,
    resources,
    sandbox,
    signals,
    start,
    stops,
    streams,
    terminals,
    ttrpc,
    waits,
)

if TYPE_CHECKING:
    from actors.conformance.case import Case
    from actors.node.protocols import GuestProtocol

__all__ = ["ALL", "chosen"]

_FAMILIES = (
    health,
    guest,
    sandbox,
    create,
    start,
    execs,
    waits,
    signals,
    pause,
    streams,
    terminals,
    resources,
    stops,
    remove,
    links,
    races,
    beside,
    ttrpc,
    hyperstart,
    hyperstart_streams,
    hyperstart_fatal,
)

ALL: tuple[Case, ...] = tuple(case for family in _FAMILIES for case in family.CASES)


def chosen(
    protocol: GuestProtocol, *, words: tuple[str, ...] = (), skipped: tuple[str, ...] = (), destructive: bool = False
) -> tuple[Case, ...]:
    """The cases for one kind of agent whose id or title contains one of the words (all if there are none), without `skipped`."""
    return tuple(
        case
        for case in ALL
        if protocol in case.protocols
        and (destructive or not case.destructive)
        and (not words or _has_one(case, words))
        and not _has_one(case, skipped)
    )


def _has_one(case: Case, words: tuple[str, ...]) -> bool:
    return any(word in f"{case.id} {case.title}".lower() for word in words)
