"""A stream at the client: parts as they come, credit as they are taken.

For stream asks and subscriptions. What the hub may send ahead is the window; a consumer that stops taking
stops the producer and nobody else. Not for opening one: `Courier.open_stream` does.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from actors.mailbox.pending import PendingAsk
from actors.wire.codec import encode
from actors.wire.envelope import CHUNK_COST, Chunk, Credit, Event

if TYPE_CHECKING:
    from collections.abc import Callable

    import outcome

    from actors.wire.envelope import Failure, Reply

__all__ = ["AskStream", "EventPart", "StreamPart"]


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


class AskStream(PendingAsk):
    """The parts of one stream ask, to iterate over from one task."""

    __slots__ = ("_allowance", "_due", "_final", "_parts", "_post", "_take_answer", "_window")

    def __init__(
        self, counter: int, verb: str, *, window: int, post: Callable[[bytes], None],
        take_answer: Callable[[Reply | Failure], None],
    ) -> None:  # fmt: skip
        super().__init__(counter, verb)
        self._window = window
        self._post = post
        self._take_answer = take_answer
        self._parts: deque[Chunk | Event] = deque()
        # what the hub may still send, and what we owe it for parts taken since the last credit
        self._allowance = window
        self._due = 0
        self._final = False

    def __aiter__(self) -> AskStream:
        return self

    async def __anext__(self) -> StreamPart | EventPart:
        """The next part.

        Raises:
            StopAsyncIteration: the stream has ended and everything was taken.
            KatrioError: the stream failed; parts that came before have been delivered.
        """
        if self._parts:
            await trio.lowlevel.checkpoint()
        else:
            await self._wait_for_more()
        if not self._parts:
            if not self._final:
                self._final = True
                assert self._outcome is not None
                self._take_answer(self._outcome.unwrap())
            raise StopAsyncIteration
        part = self._parts.popleft()
        self._due += _cost(part)
        if self._due >= self._window // 4 and self.pending:
            self._post(encode(Credit(self.counter, self._due)))
            self._allowance += self._due
            self._due = 0
        if isinstance(part, Chunk):
            return StreamPart(part.offset, part.data, part.gap)
        return EventPart(part.number, part.value, part.lost)

    def arrived(self, part: Chunk | Event) -> bool:
        """See `PendingAsk.arrived`."""
        self._allowance -= _cost(part)
        self._parts.append(part)
        self._wake()
        return self._allowance >= 0

    def _end(self, result: outcome.Outcome[Reply | Failure]) -> None:
        if self._outcome is None:
            self._outcome = result
            self._wake()

    async def _wait_for_more(self) -> None:
        if self._outcome is not None:
            await trio.lowlevel.checkpoint()
            return
        if self._task is not None:
            raise trio.BusyResourceError("another task reads this stream")
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _wake(self) -> None:
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    def _abort(self, _raise: Any) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


def _cost(part: Chunk | Event) -> int:
    return CHUNK_COST + (len(part.data) if isinstance(part, Chunk) else len(bytes(part.value)))
