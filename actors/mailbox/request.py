"""One ask as the actor sees it: what is asked, until when, and how to answer.

For actors. Everything here is synchronous but `push`, which waits for the reader. Not for deciding which
verb may run: the actor does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from actors.errors import (
    Busy,
    CallerCancelled,
    Expired,
    InternalError,
    KatrioError,
    OutcomeUnknown,
    ResourceExhausted,
)
from actors.mailbox.eventqueue import EventQueue
from actors.wire.codec import decode_value, encode, encode_raw
from actors.wire.envelope import CHUNK_COST, Chunk, Failure, Reply
from transports.errors import TransportError
from transports.parking import ParkingSpot

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.mailbox.sender import Sender

__all__ = ["Request", "encode_failure"]

T = TypeVar("T")

NO_ARGS = encode_raw({})
# arguments that are not worth the time of finding out how much is left of them
SMALL_ARGS = 1024


def encode_failure(counter: int, error: KatrioError) -> bytes:
    """The error as an envelope; details that msgpack doesn't have are left out."""
    try:
        details = encode_raw(error.details)
    except (TypeError, ValueError, OverflowError):
        details = encode_raw({})
    # words of a machine's own, as a file's name, may hold what no message carries
    message = error.message[:4096].encode("utf-8", "backslashreplace").decode()[:4096]
    return encode(Failure(counter, error.code, message, details))


class Queue(Protocol):
    """Where an ask waits to be taken (`inbox`)."""

    def discard(self, request: Request) -> bool:
        """Take it out; whether it stood within the capacity."""
        ...


class Request:
    """One ask.

    Attributes:
        to: the name it was sent to.
        verb: what is asked.
        deadline: on `trio.current_time()`'s scale; `math.inf` for none.
        trace: the caller's trace id, for records.
    """

    __slots__ = (
        "_args", "_callbacks", "_cancelled", "_counter", "_credit", "_events", "_held", "_inbox", "_pusher",
        "_sender", "_settled", "_window", "deadline", "to", "trace", "verb",
    )  # fmt: skip

    def __init__(
        self, sender: Sender, counter: int, *, to: str, verb: str, args: msgspec.Raw, deadline: float,
        window: int, trace: str | None,
    ) -> None:  # fmt: skip
        self.to = to
        self.verb = verb
        self._args = args
        self.deadline = deadline
        self.trace = trace
        self._sender = sender
        self._counter = counter
        self._window = window
        self._credit = window
        # who pushes waits there for credit
        self._pusher: ParkingSpot[None] | None = ParkingSpot() if window else None
        self._callbacks: list[Callable[[], None]] | None = None
        self._cancelled = False
        self._settled = False
        self._events: EventQueue | None = None
        # the inbox while nobody has taken it from there
        self._inbox: Queue | None = None
        # on its sender's account
        self._held = 0
        self._hold(self.cost(args, sender))

    @staticmethod
    def cost(args: msgspec.Raw, sender: Sender) -> int:
        """What one more ask in flight makes the server hold, in bytes."""
        return sender.limits.ask_bytes + memoryview(args).nbytes

    def _hold(self, cost: int) -> None:
        self._sender.account.take(cost - self._held)
        self._held = cost

    def __repr__(self) -> str:
        state = "settled" if self._settled else "cancelled" if self._cancelled else "open"
        return f"<Request {self.verb} to {self.to!r} from {self._sender.client}/{self._counter}: {state}>"

    @property
    def id(self) -> tuple[str, int, int]:
        """(client, epoch, counter): unique, and the same when the client asks again."""
        return (self._sender.client, self._sender.epoch, self._counter)

    @property
    def is_stream(self) -> bool:
        """Whether the caller takes chunks or events."""
        return self._window > 0

    @property
    def settled(self) -> bool:
        """Whether it has been answered."""
        return self._settled

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer any more: the caller gave up, or its link ended."""
        return self._cancelled

    @property
    def pending(self) -> bool:
        """Whether it still waits to be taken (for the server's timer)."""
        return self._inbox is not None

    def decode(self, shape: type[T]) -> T:
        """The arguments, once: what they were sent as is forgotten, and counts no more than what came of it.

        Raises:
            InvalidArgument: see `actors.wire.codec.decode_value`.
        """
        args, self._args = self._args, NO_ARGS
        size = memoryview(args).nbytes
        decoded = decode_value(args, shape)
        if size > SMALL_ARGS and not self._settled:
            # fields that nobody knows are gone
            self._hold(self._sender.limits.ask_bytes + len(encode(decoded)))
        return decoded

    def answer(self, result: object = None) -> None:
        """Answer, and end the stream if it is one. The first answer stands; a later one is only counted."""
        try:
            message = encode(Reply(self._counter, encode_raw({} if result is None else result)))
        except (TypeError, ValueError, OverflowError) as error:
            self.fail(InternalError(f"the result of {self.verb} can't be encoded: {error}"))
            return
        self._settle(message)

    def fail(self, error: KatrioError) -> None:
        """Answer with an error. The first answer stands; a later one is only counted."""
        self._settle(encode_failure(self._counter, error))

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Have `callback` called, synchronously, when nobody waits any more; at once if that is so already.

        It is not called after an answer. What to do is the actor's choice: stop work that changes nothing,
        let work that changes state run to its own bound.
        """
        if self._cancelled:
            callback()
        elif not self._settled:
            if self._callbacks is None:
                self._callbacks = []
            self._callbacks.append(callback)

    async def push(self, data: bytes, *, offset: int, gap: int = 0) -> None:
        """Send bytes of the stream, waiting until its reader has room; one task per ask may push.

        Args:
            data: split into chunks as large as the reader's window allows; may be empty to tell a gap.
            offset: where `data` starts in the stream, in bytes.
            gap: how many bytes before `offset` were lost.

        Raises:
            CallerCancelled: nobody reads any more.
        """
        largest = min(self._sender.limits.chunk_bytes, self._window // 2 - CHUNK_COST)
        position = 0
        while True:
            piece = data if len(data) <= largest else data[position : position + largest]
            await self._take_credit(len(piece) + CHUNK_COST)
            await self._send(encode(Chunk(self._counter, offset + position, piece, gap)))
            position += len(piece)
            gap = 0
            if position >= len(data):
                return

    def offer(self, value: object) -> None:
        """Send one event of a subscription; never waits.

        What its reader has no room for waits, up to a bound; over that the oldest are left out, and the next that is
        sent says how many. Nothing happens when nobody reads any more. `value`: what a msgpack map or array can hold, or
        that encoded, which many readers then share.
        """
        if self._cancelled or self._settled:
            return
        if self._events is None:
            # half: credit comes back in parts
            limit = self._sender.limits.event_backlog_bytes
            self._events = EventQueue(limit, self._window // 2, self._sender.account)
        self._events.put(value if isinstance(value, msgspec.Raw) else encode_raw(value))
        self._send_events()

    def _send_events(self) -> None:
        events, session = self._events, self._sender.session
        if events is None or session is None:
            return
        while (cost := events.next_cost) is not None and cost <= self._credit:
            self._credit -= cost
            session.post(encode(events.take(self._counter)))

    async def _take_credit(self, amount: int) -> None:
        assert self._pusher is not None, "only a stream's actor pushes"
        while self._credit < amount:
            self._check_wanted()
            await self._pusher.park()
        self._check_wanted()
        self._credit -= amount

    def _check_wanted(self) -> None:
        if self._cancelled or self._settled:
            raise CallerCancelled(f"nobody reads the stream of {self.verb} any more")

    async def _send(self, message: bytes) -> None:
        session = self._sender.session
        if session is None:
            raise CallerCancelled(f"the link of {self._sender.client} has ended")
        try:
            await session.send(message)
        except TransportError as error:
            raise CallerCancelled(f"the link of {self._sender.client} has ended") from error

    def _settle(self, message: bytes) -> None:
        sender = self._sender
        if self._settled:
            sender.counters.late_answers += 1
            return
        self._settled = True
        self._callbacks = None
        self._args = NO_ARGS
        self._forget_events()
        self._hold(0)
        if len(message) > sender.limits.message_bytes:
            size = len(message)
            bound = ResourceExhausted(f"the answer to {self.verb} has {size} bytes", limit=sender.limits.message_bytes)
            message = encode_failure(self._counter, bound)
        kept = message
        if self._window:
            # the chunks before it are not kept, so repeating its end would pass a hole off as a whole
            kept = encode_failure(self._counter, OutcomeUnknown("the stream was sent once already; ask anew"))
        sender.settle(self._counter, kept)
        if self._pusher is not None:
            self._pusher.unpark()
        if self._cancelled or sender.session is None:
            sender.counters.unwanted_answers += 1
        else:
            sender.session.post(message)

    # for the server: what the caller's side does to this ask

    def enter(self, inbox: Queue) -> None:
        """It waits in `inbox`."""
        self._inbox = inbox

    def leave(self) -> None:
        """The actor has taken it."""
        self._inbox = None

    def expire(self) -> None:
        """Its deadline passed while it waited: refuse it, nothing was done."""
        inbox = self._inbox
        if inbox is None:
            return
        self._inbox = None
        if inbox.discard(self):
            self.fail(Expired(f"{self.verb} was not taken up before its deadline; nothing was done"))
        else:
            self.fail(Busy(f"the mailbox of {self.to!r} stayed full up to the deadline; nothing was done"))

    def cancel(self) -> None:
        """Nobody waits any more."""
        if self._settled or self._cancelled:
            return
        self._cancelled = True
        self._forget_events()
        inbox, self._inbox = self._inbox, None
        if inbox is not None:
            inbox.discard(self)
            self.fail(CallerCancelled(f"{self.verb} was given up before it was taken up; nothing was done"))
            return
        callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback()
        if self._pusher is not None:
            self._pusher.unpark()

    def _forget_events(self) -> None:
        if self._events is not None:
            self._events.clear()
            self._events = None

    def join(self) -> None:
        """The same client asks again with the same id: it waits (again) for this one's answer."""
        self._cancelled = False

    def grant(self, amount: int) -> bool:
        """The reader took `amount` bytes; False when it claims more than it was sent."""
        self._credit += amount
        if self._pusher is not None:
            self._pusher.unpark()
        self._send_events()
        return self._credit <= self._window
