"""Validates what an untrusted agent says beyond what its protocol guarantees: one check for each kind of value.

The kata agent applies them to everything that it passes on. Reply sizes are bounded in `link`, error texts in
`actors.schemas.status`.
"""

from __future__ import annotations

import ipaddress
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec

from actors.errors import AgentProtocolError
from actors.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["checked_address", "checked_items", "checked_name", "checked_pids", "checked_status"]

T = TypeVar("T")

# the kernel's own limits
_Pid = Annotated[int, msgspec.Meta(ge=1, le=2**22)]


def checked_name(field: str, text: str) -> str:
    """A name, a version or another text of the agent's. Raises: AgentProtocolError."""
    if len(text) > DEFAULT_LIMITS.agent_name_length:
        raise AgentProtocolError(
            f"{field}: the agent sent {len(text)} characters; {DEFAULT_LIMITS.agent_name_length} is the most"
        )
    if not text.isprintable():
        raise AgentProtocolError(f"{field}: the agent sent {text[:80]!a}, which can't be printed")
    return text


def checked_items(field: str, items: Sequence[T], most: int) -> Sequence[T]:
    """Bound the number of items. Raises: AgentProtocolError."""
    if len(items) > most:
        raise AgentProtocolError(f"{field}: the agent sent {len(items)}; {most} is the most")
    return items


def checked_status(status: int) -> int:
    """An exit code, or 128 + N. Raises: AgentProtocolError."""
    if not 0 <= status <= 255:
        raise AgentProtocolError(f"WaitProcess: the agent told the exit status {status}; expected 0 to 255")
    return status


def checked_pids(data: bytes) -> tuple[int, ...]:
    """A JSON list of pids: sorted, each once. Raises: AgentProtocolError."""
    try:
        pids = msgspec.json.decode(data, type=list[_Pid])
    except msgspec.DecodeError as error:
        raise AgentProtocolError(f"ListProcesses: not a JSON list of pids: {error}") from None
    ordered = sorted(pids)
    for pid, after in pairwise(ordered):
        if pid == after:
            raise AgentProtocolError(f"ListProcesses: the agent listed pid {pid} twice")
    return tuple(ordered)


def checked_address(field: str, text: str) -> str:
    """An IP address without its prefix length. Raises: AgentProtocolError."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise AgentProtocolError(f"{field}: the agent sent {text[:80]!a}, which is no IP address") from None
    return text
