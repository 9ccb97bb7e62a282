"""A stream at the client: parts as they come, credit as they are taken.

For stream asks and event subscriptions. What the server may send ahead is the window; a consumer that stops taking
stops the producer and nobody else. Not for opening one: `Client.open_stream` does.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Generic, Self, TypeVar

import msgspec
import trio

from actors.errors import error_from_code
from actors.mailbox.pending import PendingAsk
from actors.wire.codec import decode_details, encode
from actors.wire.envelope import CHUNK_COST, Chunk, Credit, Event, Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    import outcome

    from actors.wire.envelope import Reply

__all__ = ["AskStream", "EventPart", "EventStream", "PartStream", "StreamPart"]

Part = TypeVar("Part")


class StreamPart(msgspec.Struct, frozen=True, gc=False):
    """Bytes of a stream: `data` starts at `offset`, and `gap` bytes before it were lost."""

    offset: int
    data: bytes
    gap: int = 0


class EventPart(msgspec.Struct, frozen=True, gc=False):
    """One event: the `number`th of its subscription from 0; `lost` events before it were left out.

    `value` is decoded by `actors.wire.codec.decode_value`.
    """

    number: int
    value: msgspec.Raw
    lost: int = 0


class PartStream(PendingAsk, Generic[Part]):
    """The parts of one stream ask, to iterate over from one task."""

    __slots__ = ("_allowance", "_due", "_over", "_parts", "_post", "_window")

    def __init__(self, counter: int, verb: str, *, window: int, post: Callable[[bytes], None]) -> None:
        super().__init__(counter, verb)
        self._window = window
        self._post = post
        self._parts: deque[tuple[int, Part]] = deque()
        # what the server may still send, and what we owe it for parts taken since the last credit
        self._allowance = window
        self._due = 0
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Part:
        """The next part.

        Raises:
            StopAsyncIteration: the stream has ended and everything was taken.
            KatrioError: the stream failed; parts that came before have been delivered.
        """
        if self._parts or self._outcome is not None:
            await trio.lowlevel.checkpoint()
        else:
            await self.park()
        if not self._parts:
            self._finish()
            raise StopAsyncIteration
        cost, part = self._parts.popleft()
        self._due += cost
        if self._due >= self._window // 4 and self.pending:
            self._post(encode(Credit(self.counter, self._due)))
            self._allowance += self._due
            self._due = 0
        return part

    def arrived(self, part: Chunk | Event) -> bool:
        """See `PendingAsk.arrived`."""
        taken = self._accept(part)
        if taken is None:
            return False
        self._allowance -= taken[0]
        self._parts.append(taken)
        self.unpark()
        return self._allowance >= 0

    @abstractmethod
    def _accept(self, part: Chunk | Event) -> tuple[int, Part] | None:
        """What it costs of the window, and the part as the consumer gets it; None when it doesn't belong here."""

    def _finish(self) -> None:
        if self._over or self._outcome is None:
            return
        self._over = True
        answer = self._outcome.unwrap()
        if isinstance(answer, Failure):
            raise error_from_code(answer.code, answer.message, decode_details(answer.details))

    def _end(self, result: outcome.Outcome[Reply | Failure]) -> None:
        if self._outcome is None:
            self._outcome = result
            self.unpark()


class AskStream(PartStream[StreamPart]):
    """Bytes, as `Client.open_stream` yields them."""

    __slots__ = ()

    def _accept(self, part: Chunk | Event) -> tuple[int, StreamPart] | None:
        if not isinstance(part, Chunk):
            return None
        return CHUNK_COST + len(part.data), StreamPart(part.offset, part.data, part.gap)


class EventStream(PartStream[EventPart]):
    """Events, as `Client.open_events` yields them."""

    __slots__ = ()

    def _accept(self, part: Chunk | Event) -> tuple[int, EventPart] | None:
        if not isinstance(part, Event):
            return None
        return CHUNK_COST + len(bytes(part.value)), EventPart(part.number, part.value, part.lost)
