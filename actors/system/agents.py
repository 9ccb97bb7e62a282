"""The agents table: each of virtcontainers' agent words and the factory behind it.

For composing a system. Not for what an agent does: `actors.agents`. An unknown word raises; virtcontainers
fell back to noop there, with which everything seems to work.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from actors.agents.hyperstart import connect_hyperstart
from actors.agents.kata import connect_kata
from actors.agents.noop import connect_noop
from actors.errors import InvalidArgument
from actors.host.protocols import GuestProtocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.agents.base import AgentFactory

__all__ = ["AGENTS", "LACKS", "PROTOCOLS", "AgentType"]


class AgentType(StrEnum):
    """The words, case-sensitive, nothing trimmed."""

    NOOP = "noop"
    HYPERSTART = "hyperstart"
    KATA = "kata"

    @classmethod
    def parse(cls, word: str) -> AgentType:
        """Raises: InvalidArgument."""
        try:
            return cls(word)
        except ValueError:
            known = ", ".join(cls)
            raise InvalidArgument(f"unknown agent type {word!r}: expected one of {known}", field="agent") from None


AGENTS: Mapping[AgentType, AgentFactory] = {
    AgentType.NOOP: connect_noop,
    AgentType.HYPERSTART: connect_hyperstart,
    AgentType.KATA: connect_kata,
}
# what a guest of ours has to speak to it; noop speaks to none
PROTOCOLS: Mapping[AgentType, GuestProtocol] = {
    AgentType.HYPERSTART: GuestProtocol.HYPERSTART,
    AgentType.KATA: GuestProtocol.TTRPC,
}
# what a scenario may need (`actors.scenario.needs`) and can't have with an agent, whatever runs in the guest; and why
LACKS: Mapping[AgentType, Mapping[str, str]] = {
    AgentType.NOOP: {},
    AgentType.HYPERSTART: {
        "pause": "hyperstart has no command to pause",
        "limits": "hyperstart limits nothing",
        "oom": "hyperstart tells of no kills for want of memory",
        "stats": "hyperstart counts nothing",
        "process_list": "hyperstart has no command to list processes",
        "signal_exits": "hyperstart says 0 of a process that ended by a signal, and of one that ended well",
        "exec_errors": "hyperstart takes a program that is not there for one that ends with 127, and names no fault",
        "held_output": "hyperstart tells an end once nobody holds the process's output any more",
    },
    AgentType.KATA: {},
}
