"""The words that a person chooses by: a world, an agent, the dialect of kata's, an engine. One table each; other lists derive from them.

For the command line, configurations and programs. Standard library only: the launcher reads it, and the command line before it knows
what to import. Not for what a word stands for.
"""

from __future__ import annotations

from enum import StrEnum

from actors.errors import InvalidArgument
from actors.suggest import did_you_mean

__all__ = ["AUTO", "ENGINES", "FASTER", "OWN_WORLDS", "RUNTIMES", "SIMULATED", "WORLDS", "AgentType", "Dialect"]

SIMULATED = "simulated"
# those that katrio opens by itself, then another program's
OWN_WORLDS = ("embedded", SIMULATED)
WORLDS = (*OWN_WORLDS, "attached")

AUTO = "auto"
# OCI runtimes, then what needs none. The faster one is taken by itself where a trial showed that it works (`actors.node.trials`), else
# they are preferred in this order
RUNTIMES = ("runc", "crun")
FASTER = "crun"
ENGINES = (*RUNTIMES, "processes")


class AgentType(StrEnum):
    """virtcontainers' words. Case-sensitive, nothing trimmed."""

    NOOP = "noop"
    HYPERSTART = "hyperstart"
    KATA = "kata"

    @classmethod
    def parse(cls, word: str) -> AgentType:
        """Raises: InvalidArgument."""
        try:
            return cls(word)
        except ValueError:
            hint = did_you_mean(str(word).strip().lower(), cls)
            raise InvalidArgument(
                f"unknown agent type {word!r}: expected one of {', '.join(cls)}{hint}", field="agent"
            ) from None


class Dialect(StrEnum):
    """Of the kata agent API: today's, spoken over ttRPC, and Kata 1.x's, spoken over gRPC. Case-sensitive, nothing trimmed."""

    TTRPC = "ttrpc"
    GRPC = "grpc"

    @classmethod
    def parse(cls, word: str) -> Dialect:
        """Raises: InvalidArgument."""
        try:
            return cls(word)
        except ValueError:
            known = " or ".join(cls)
            raise InvalidArgument(
                f"unknown dialect {word!r}: expected {known} (grpc is Kata 1.x's)", field="dialect"
            ) from None
