"""What the handles share: how a verb is asked, how long a caller waits, the events of an actor, its delete.

Not for callers: they import from `actors.handles`. The methods are written out, a line each, rather than made from the verbs'
rows: editors, type checkers and `help()` have their arguments and docstrings so.
"""

from __future__ import annotations

import math
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import msgspec
import trio

from actors.errors import InvalidArgument, NotFound
from actors.mailbox import Unset, checked_seconds
from actors.wire.codec import decode_value
from actors.wire.events import ActorEvent
from actors.wire.verbs import Delete, Nothing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from actors.mailbox import Client
    from actors.wire.verb import Verb

__all__ = ["UNSET", "Deadline", "Handle", "SeenEvent", "Timeout", "check_bytes", "with_grace"]

A = TypeVar("A", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)

# seconds, the limits' own, or for ever
Timeout: TypeAlias = float | Unset | None
UNSET = Unset.UNSET


def with_grace(client: Client, timeout: Timeout, grace: float | None) -> Timeout:
    """A stop's timeout: where none is given, the grace that it may wait out comes on top of the limits' own."""
    # what is no grace is told by its field
    if timeout is not UNSET or not isinstance(grace, int | float) or not 0 < grace < math.inf:
        return timeout
    return client.limits.ask_seconds + grace


class Deadline:
    """The end of a timeout that several asks share; `at` is in Trio's clock, infinite when there is none."""

    def __init__(self, client: Client, timeout: Timeout) -> None:
        seconds = client.limits.ask_seconds if isinstance(timeout, Unset) else checked_seconds(timeout, "timeout")
        self.at = trio.current_time() + seconds

    def left(self) -> float | None:
        """What the next ask may take."""
        return None if self.at == math.inf else max(0.0, self.at - trio.current_time())


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """One event of a subscription; `lost` counts those before it that were left out, as we did not keep up."""

    event: ActorEvent
    lost: int


@dataclass(frozen=True, slots=True)
class Handle:
    """A client and the address of an actor."""

    client: Client
    address: str

    async def _ask(self, verb: Verb[A, R], args: A, timeout: Timeout) -> R:
        return await self.client.ask(self.address, verb.name, args, verb.result, timeout=timeout)

    async def _delete(self, verb: Verb[Delete, Nothing], timeout: Timeout, *, force: bool) -> None:
        try:
            await self._ask(verb, Delete(force), timeout)
        except NotFound:
            if not force:
                raise

    def _open_events(self) -> AbstractAsyncContextManager[AsyncIterator[SeenEvent]]:
        return _open_events_of(self.client, self.address)


@asynccontextmanager
async def _open_events_of(client: Client, address: str) -> AsyncGenerator[AsyncIterator[SeenEvent]]:
    async def seen() -> AsyncGenerator[SeenEvent]:
        async for part in parts:
            yield SeenEvent(decode_value(part.value, ActorEvent), part.lost)

    async with client.open_events(address, "events", Nothing()) as parts, aclosing(seen()) as events:
        yield events


def check_bytes(data: object, field: str = "data") -> None:
    """What is to be cut into pieces. Raises: InvalidArgument."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidArgument(f"{field} is of type {type(data).__name__}: expected bytes", field=field)
