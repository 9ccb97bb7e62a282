"""The protocols that a guest's agent may speak, and their channels: names shared by a host and its guest.

For the launcher's command line, `actors.guest.compose`, and worlds. Standard library only, as the launcher imports it.
"""

from __future__ import annotations

from enum import StrEnum

from actors.words import AgentType, Dialect

__all__ = ["Channel", "GuestProtocol"]


class GuestProtocol(StrEnum):
    """By the name on the launcher's command line: the dialect of a Kata agent, or hyperstart."""

    TTRPC = Dialect.TTRPC.value
    GRPC = Dialect.GRPC.value
    HYPERSTART = AgentType.HYPERSTART.value

    @classmethod
    def of(cls, agent: str, dialect: str) -> GuestProtocol:
        """Of an agent that speaks one; the dialect counts for Kata's alone. Raises: ValueError."""
        return cls(dialect if agent == AgentType.KATA else agent)

    @property
    def label(self) -> str:
        """With its agent, as reports name it: `kata ttrpc`, `kata grpc`, `hyperstart`."""
        return str(self) if self is GuestProtocol.HYPERSTART else f"{AgentType.KATA} {self}"


class Channel(StrEnum):
    """What a host dials: a Kata agent has one channel for everything, hyperstart one for commands and one for streams."""

    AGENT = "agent"
    CONTROL = "control"
    STREAMS = "streams"
