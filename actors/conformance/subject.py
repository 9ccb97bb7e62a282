"""The ports between the runner and an agent under test: the target, opened once, and its subjects, one for each case.

For `kata` and `hyperstart`, which implement them, and `runner`. Not for cases: they know their own kind of subject.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from actors.errors import AgentUnreachable, GuestDied, OutcomeUnknown
from actors.limits import DEFAULT_LIMITS, slow_limits

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from contextlib import AbstractAsyncContextManager

    from actors.conformance.case import AgentProtocol
    from actors.conformance.findings import Findings
    from actors.limits import Limits

__all__ = ["REACHED_SECONDS", "Roots", "Subject", "Target", "reaching", "target_limits"]

# an agent under test is there, or it is not: nobody waits for it to boot, and a dead one must be found out soon
REACHED_SECONDS = 2.0


def target_limits(slow: float, start_seconds: float = REACHED_SECONDS) -> Limits:
    """For an agent that is so many times slower than others, and may take so long to come up."""
    found = replace(DEFAULT_LIMITS, guest_start_seconds=start_seconds, reconnect_seconds=REACHED_SECONDS)
    return slow_limits(found, slow)


class Subject(Protocol):
    """What one case talks to; everything that it makes there is its own."""

    @property
    def findings(self) -> Findings:
        """What the case has found and gone on after."""
        ...

    async def clean(self) -> None:
        """Remove what the case made, without its links, which are gone by now. Raises: KatrioError, FallsShort."""


class Roots(Protocol):
    """Where the roots of a target's containers come from; see `actors.node.roots.Roots`, whose methods these are."""

    def copy(self, source: str) -> str:
        """A copy that its agent may spoil. Blocking."""
        ...

    def remove(self, copied: str) -> None:
        """Be rid of it. Blocking."""


class Target(Protocol):
    """One agent under test."""

    @property
    def spoken(self) -> AgentProtocol:
        """What it speaks."""
        ...

    @property
    def slow(self) -> float:
        """By how much every bound is stretched; 1 is none."""
        ...

    @property
    def version(self) -> str:
        """What it says it is, once the target is open."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What its preparation came to, where all cases suffer from it: lines for people."""
        ...

    def open_target(self) -> AbstractAsyncContextManager[None]:
        """Reach it and make what all cases need (its sandbox).

        Raises: AgentUnreachable, AgentProtocolError: nothing can be asked.
        """
        ...

    def open_subject(self, deadline: float) -> AbstractAsyncContextManager[Subject]:
        """For one case, with links of its own, until `deadline`."""
        ...

    async def check_alive(self) -> None:
        """Ask it something trivial over a new link. Raises: KatrioError."""


@contextmanager
def reaching() -> Generator[None]:
    """Around the first calls of a target: whoever ends his link then can't be asked anything. Raises: AgentUnreachable."""
    try:
        yield
    except (OutcomeUnknown, GuestDied) as error:
        raise AgentUnreachable(f"the agent was reached, and gone at once: {error.message}") from error
