"""The interfaces between the runner and an agent under test: the target, opened once, and its subjects, one per case.

Implemented by `kata` and `hyperstart`. Cases know the concrete type of their subject.
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

    from actors.conformance.findings import Findings
    from actors.limits import Limits
    from actors.node.protocols import GuestProtocol

__all__ = ["REACHED_SECONDS", "Roots", "Subject", "Target", "reaching", "target_limits"]

# an agent under test is running or not: nobody waits for it to boot, and a dead one must be detected soon
REACHED_SECONDS = 2.0


def target_limits(slow: float, start_seconds: float = REACHED_SECONDS) -> Limits:
    """Limits for an agent slower by this factor, which may take this long to start."""
    found = replace(DEFAULT_LIMITS, guest_start_seconds=start_seconds, reconnect_seconds=REACHED_SECONDS)
    return slow_limits(found, slow)


class Subject(Protocol):
    """A case's interface to the agent; it owns whatever it makes there."""

    @property
    def findings(self) -> Findings:
        """What the case has recorded without ending."""
        ...

    async def clean(self) -> None:
        """Remove what the case made; its links are closed already. Raises: KatrioError, FallsShort."""


class Roots(Protocol):
    """Where the roots of a target's containers come from; a subset of `actors.node.roots.Roots`."""

    def copy(self, source: str) -> str:
        """A copy that its agent may modify. Blocking."""
        ...

    def remove(self, copied: str) -> None:
        """Remove a copy. Blocking."""


class Target(Protocol):
    """One agent under test."""

    @property
    def protocol(self) -> GuestProtocol:
        """Its protocol."""
        ...

    @property
    def slow(self) -> float:
        """The factor on every time limit; 1 for none."""
        ...

    @property
    def version(self) -> str:
        """Its own version text, once the target is open."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Problems during preparation that affect all cases: lines for display."""
        ...

    def open_target(self) -> AbstractAsyncContextManager[None]:
        """Connect, and make what all cases need (the sandbox).

        Raises: AgentUnreachable, AgentProtocolError: it can't be reached.
        """
        ...

    def open_subject(self, deadline: float) -> AbstractAsyncContextManager[Subject]:
        """The subject of one case, with its own links, until `deadline`."""
        ...

    async def check_alive(self) -> None:
        """Make a trivial call over a new link. Raises: KatrioError."""


@contextmanager
def reaching() -> Generator[None]:
    """Around a target's first calls: losing the link then means it can't be reached. Raises: AgentUnreachable."""
    try:
        yield
    except (OutcomeUnknown, GuestDied) as error:
        raise AgentUnreachable(f"the agent was reached, and gone at once: {error.message}") from error
