"""What a scenario asks of the world it runs in: a system of actors, and facts past it.

For the runner; worlds are built elsewhere and passed in. Not for time: a world under virtual time has
trio's clock replaced, and the runner reads that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.handles import SystemHandle
    from actors.scenario.language.needs import Fault, Need, Probe

__all__ = ["World"]


class World(Protocol):
    """One open world; its opener closes it."""

    @property
    def name(self) -> str:
        """`embedded`, `simulated`, `attached`."""
        ...

    @property
    def agent(self) -> str:
        """The agent in use, such as `kata`."""
        ...

    @property
    def engine(self) -> str | None:
        """What really runs the containers, such as `runc`; None when nothing does, or it is not known."""
        ...

    async def identify(self) -> None:
        """Find out who serves it, where that decides what it provides: asked before each scenario, before anything is made.

        Raises: KatrioError: nobody answers.
        """
        ...

    @property
    def missing(self) -> Mapping[Need, str]:
        """A need that it does not meet -> why not; it meets all others."""
        ...

    @property
    def system(self) -> SystemHandle:
        """The system to drive."""
        ...

    async def probe(self, kind: Probe, sandbox: str, container: str) -> str:
        """A fact that the world knows past actors, agent and guest.

        Raises:
            Unsupported: this world can't determine it.
            NotFound: it has no such container.
        """
        ...

    async def fault(self, kind: Fault, sandbox: str) -> None:
        """Break a part of the world, and return when it is broken.

        Raises:
            Unsupported: this world can't.
            NotFound: it has no such sandbox.
        """
        ...
