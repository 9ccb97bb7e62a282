"""Assertions of cases on values.

Refusals and time limits are in `findings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from actors.conformance.case import FallsShort
from actors.errors import AgentUnreachable, GuestDied, OutcomeUnknown

if TYPE_CHECKING:
    from actors.errors import KatrioError

__all__ = ["SHOWN_BYTES", "check", "equal", "is_loss", "shown"]

# of an output, shown in a report
SHOWN_BYTES = 200


def check(held: bool, expected: str, seen: object) -> None:
    """Raises: FallsShort."""
    if not held:
        raise FallsShort(expected, shown(seen))


def equal(seen: object, wanted: object, what: str) -> None:
    """Raises: FallsShort."""
    check(seen == wanted, f"{what} {shown(wanted)}", seen)


def shown(value: object) -> str:
    """A value for a report, truncated."""
    if isinstance(value, str):
        return value[:SHOWN_BYTES]
    text = repr(value)
    return text if len(text) <= SHOWN_BYTES else f"{text[:SHOWN_BYTES]}... ({len(text)} characters)"


def is_loss(error: BaseException) -> TypeGuard[KatrioError]:
    """Whether the link to the agent may be lost: only a liveness check can tell."""
    return isinstance(error, AgentUnreachable | OutcomeUnknown | GuestDied)
