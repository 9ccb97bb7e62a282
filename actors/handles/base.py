"""What the handles share: the budget of an ask, the events of an actor, its delete.

Not for callers: they import from `actors.handles`.
"""

from __future__ import annotations

import math
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import trio

from actors.errors import InvalidArgument, NotFound
from actors.mailbox import Budget, checked_seconds
from actors.wire.codec import decode_value
from actors.wire.events import ActorEvent
from actors.wire.verbs import Delete, Nothing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from actors.mailbox import Courier

__all__ = ["DEFAULT", "Allowance", "Deadline", "SeenEvent", "check_bytes", "delete_at", "open_events_of", "with_grace"]

# seconds, the limits' own, or for ever
Allowance: TypeAlias = float | Budget | None
DEFAULT = Budget.DEFAULT


def with_grace(courier: Courier, budget: Allowance, grace: float | None) -> Allowance:
    """A stop's budget: where none is given, the grace that it may wait out comes on top of the limits' own."""
    # what is no grace is told by its field
    if budget is not DEFAULT or not isinstance(grace, int | float) or not 0 < grace < math.inf:
        return budget
    return courier.limits.ask_seconds + grace


class Deadline:
    """The end of a budget that several asks share."""

    def __init__(self, courier: Courier, budget: Allowance) -> None:
        seconds = courier.limits.ask_seconds if isinstance(budget, Budget) else checked_seconds(budget, "budget")
        self._at = trio.current_time() + seconds

    def left(self) -> float | None:
        """What the next ask may take."""
        return None if self._at == math.inf else max(0.0, self._at - trio.current_time())


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """One event of a subscription; `lost` counts those before it that were left out, as we did not keep up."""

    event: ActorEvent
    lost: int


@asynccontextmanager
async def open_events_of(courier: Courier, address: str) -> AsyncGenerator[AsyncIterator[SeenEvent]]:
    """Subscribe to one actor; see `open_events` of its handle."""

    async def seen() -> AsyncGenerator[SeenEvent]:
        async for part in parts:
            yield SeenEvent(decode_value(part.value, ActorEvent), part.lost)

    async with courier.open_events(address, "events", Nothing()) as parts, aclosing(seen()) as events:
        yield events


def check_bytes(data: object) -> None:
    """What is to be cut into pieces. Raises: InvalidArgument."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidArgument(f"data is of type {type(data).__name__}: expected bytes", field="data")


async def delete_at(courier: Courier, address: str, *, force: bool, budget: Allowance) -> None:
    """Delete one actor; see `delete` of its handle."""
    try:
        await courier.ask(address, "delete", Delete(force), Nothing, budget=budget)
    except NotFound:
        if not force:
            raise
