"""What a guest's agent may speak, and on which of its channels: words that a host and the guest it starts share.

For the launcher's command line, for `actors.guest.compose`, and for worlds, which choose by the agent in use. Standard
library only, as the launcher reads it. Not for the protocols themselves.
"""

from __future__ import annotations

from enum import StrEnum

from actors.words import AgentType, Dialect

__all__ = ["Channel", "GuestProtocol"]


class GuestProtocol(StrEnum):
    """By the word on the launcher's command line."""

    TTRPC = Dialect.TTRPC.value
    GRPC = Dialect.GRPC.value
    HYPERSTART = AgentType.HYPERSTART.value


class Channel(StrEnum):
    """What a host dials: a Kata agent has one for everything, hyperstart one for commands and one for streams."""

    AGENT = "agent"
    CONTROL = "control"
    STREAMS = "streams"
