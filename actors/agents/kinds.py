"""Kinds of agents, and what is known of one: the answer of `identity`, and what each kind lacks goes by it (`actors.worlds.lacks`).

Not for how an agent is asked.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from actors.errors import AlreadyExists

__all__ = ["AgentKind", "Identity"]


class AgentKind(StrEnum):
    """Kinds of agents."""

    KATRIO = "katrio's own guest"
    KATA = "a Kata agent"
    KATA_1X = "a Kata 1.x agent"
    HYPERSTART = "a hyperstart"
    OTHER = "an agent of another kind"


class Identity(NamedTuple):
    """What is known of an agent.

    Attributes:
        version: its own text, for display only.
        sandbox: whether it has one; None: unknown.
        engine: for katrio's own guest, what runs its containers.
    """

    kind: AgentKind
    version: str = ""
    sandbox: bool | None = None
    engine: str = ""

    @property
    def own(self) -> bool:
        """katrio's guest: it looks up user names, keeps unread output, and never writes into an image."""
        return self.kind is AgentKind.KATRIO

    @property
    def second_sandbox_destroys(self) -> bool:
        """A second CreateSandbox would remove the files of running containers, from the disk that holds their roots."""
        return self.kind is AgentKind.KATA

    def check_no_sandbox(self) -> None:
        """Call before CreateSandbox. Raises: AlreadyExists."""
        if self.sandbox:
            raise AlreadyExists(
                f"{self.kind} has a sandbox already, which somebody else made: end it first (whoever made it, or "
                "`katrio call --address URL DestroySandbox`), or name an agent without one",
                agent=str(self.kind),
            )
