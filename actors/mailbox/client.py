"""The client side of mailboxes: one link to a server, any number of askers.

Theory of operation. `run` keeps one `Link`: dialled, welcomed, ended, dialled again with backoff, until `aclose`. An ask is a
`PendingAsk` in `_pending` from just before its envelope is sent until its asker stops waiting, and ends in exactly one way:
answered, cancelled by its asker (who tells the server), timed out (`Deadlines`), or ended with the link that carried it. Whatever
was sent and has no answer ends as `OutcomeUnknown`; it is never sent again but by its own asker, by its counter (`repeat`).

Who waits for whom: askers wait for a link and for a place among the `_permits` asks in flight, in one line, first come first
served: the lock `_line`, whose holder is the first and waits at `_first` until a place is freed (an answer, a cancel, a new link).
It takes its place without a checkpoint once the lock is given up, and the next of the line looks for itself. Nobody who holds a
place waits for one, and every wait has the asker's deadline or the end of the link, so that no circle of waits can be.
What comes from the server is handled in the link's own task, which never waits: an answer wakes its asker, a part goes into a
stream whose window bounds it.

Not for typed verbs: `actors.handles` wraps this.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, TypeVar

import trio

from actors.errors import (
    AgentProtocolError,
    AgentUnreachable,
    Busy,
    InvalidArgument,
    KatrioError,
    OutcomeUnknown,
    error_from_code,
)
from actors.limits import DEFAULT_LIMITS, Limits
from actors.mailbox.deadlines import Deadlines, checked_seconds
from actors.mailbox.link import Link
from actors.mailbox.outbox import Outbox
from actors.mailbox.pending import PendingAsk
from actors.mailbox.stream import AskStream, EventStream
from actors.nurseries import open_collapsing_nursery
from actors.wire.codec import decode_details, decode_value, encode, encode_args
from actors.wire.envelope import VERSIONS, Ask, Cancel, Goodbye, Hello, Reply
from transports.errors import EndpointBusy, RemoteProtocolError, TransportError, Unreachable
from transports.shared_bound import SharedBound

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.wire.envelope import Failure
    from transports.base import Transport

__all__ = ["Client", "Unset", "open_client"]

T = TypeVar("T")
P = TypeVar("P", AskStream, EventStream)

# a link that has not said hello by then is given up, in seconds
HELLO_SECONDS = 5.0
# seconds between two dials of a broken link: the first, and the most
BACKOFF = (0.05, 1.0)
# asks whose outcome is unknown and that may be asked again by id
REPEATABLE = 64
# the most characters of an address or a trace id: the envelope's own bound
NAME_LENGTH = 256
# asks between two looks for the lowest counter still wanted; a stale one is safe
WATERMARK_EVERY = 16


class Unset(Enum):
    """A timeout that was not given: the limits' `ask_seconds`."""

    UNSET = "the limits' ask_seconds"

    def __repr__(self) -> str:
        return "UNSET"


class Client:
    """One client's link. `run` must be running; `open_client` does that.

    Args:
        transport, address: where the server is.
        client_id: this client's name, unlike that of any other client of the server; at most 64 characters.
        epoch: grows with every start of this client.

    Attributes:
        late: answers and parts that came after their asker had gone, dropped.
        limits: the bounds that its asks, and the handles over it, keep to.
    """

    def __init__(
        self, transport: Transport, address: str, *, client_id: str, epoch: int, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._transport = transport
        self._address = address
        self._client_id = client_id
        self._epoch = epoch
        self.limits = limits
        self._deadlines = Deadlines()
        self._link: Link | None = None
        # who waits for a link or for a place among the asks in flight stands in line, first come first served, and the first of
        # them has the lock: until it has taken its place nobody else may
        self._line = trio.Lock()
        self._first = trio.lowlevel.ParkingLot()
        self._pending: dict[int, PendingAsk] = {}
        self._repeatable: dict[int, None] = {}
        self._counter = 0
        self._watermark = 1
        self._permits = 0
        self._closing = trio.Event()
        self.late = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Dial, keep the link, dial again when it breaks; returns after `aclose`.

        Raises (before it starts):
            AddressError: the address can't be used.
            Unreachable: nobody answers, or what answers is no server.
            KatrioError: the server refuses us: Unsupported when it speaks no version that we do, Busy when it has a
                link of a client of this name.
        """
        async with open_collapsing_nursery() as nursery:
            nursery.start_soon(self._deadlines.run)
            link = await self._dial(nursery)
            task_status.started()
            while not self._closing.is_set():
                await link.ended.wait()
                link = await self._dial_again(nursery, link)
            nursery.cancel_scope.cancel()

    async def aclose(self) -> None:
        """Say goodbye and end the link; asks in flight end with `OutcomeUnknown`."""
        self._closing.set()
        if self._link is not None:
            self._link.outbox.post(encode(Goodbye("", "the client is done")))
            await self._link.endpoint.aclose()

    async def ask(
        self,
        to: str,
        verb: str,
        args: object,
        result: type[T],
        *,
        timeout: float | Unset | None = Unset.UNSET,
        trace: str | None = None,
        repeat: int | None = None,
    ) -> T:
        """Ask, and wait for the answer. A cancel tells the server, and ends the wait at once.

        Args:
            to: a mailbox's name.
            args: a struct of `actors.wire.verbs`, or anything that msgpack has.
            result: the shape of the answer.
            timeout: seconds until the answer is of no use; None: no end.
            repeat: `details["counter"]` of an `OutcomeUnknown` of this client: asks again with that id, which
                returns the answer if the server still has it, and never runs the ask twice.

        Raises:
            KatrioError: what the actor answered; or, of our own:
            OutcomeUnknown: sent, and then the timeout or the link was over.
            AgentUnreachable: there was no link within the timeout; nothing was sent.
            Busy: the link, or the mailbox, stayed full for all of the timeout; nothing was done.
            Expired: the timeout was over before an actor took it up; nothing was done.
            InvalidArgument: `args` are too large or hold what no message carries, the timeout is no time, or `repeat` is not the counter of such an outcome.
        """
        if repeat is not None and repeat not in self._repeatable:
            raise _not_repeatable(repeat)
        deadline = self._deadline(timeout)
        link = self._link
        if link is None or self._line.locked() or len(self._pending) >= self._permits:
            link = await self._wait_in_line(deadline)
        counter = self._next_counter() if repeat is None else self._take_repeatable(repeat)
        pending = PendingAsk(counter, verb)
        try:
            ask = Ask(counter, to, verb, encode_args(args), _left(deadline), self._lowest_wanted(), 0, trace)
            await self._send(link, pending, ask, deadline)
            answer = await pending.wait()
        except OutcomeUnknown:
            self._give_up(link, pending)
            self._keep_repeatable(pending.counter)
            raise
        except BaseException:
            if not pending.pending:
                self.late += 1  # the answer crossed our cancel
            self._give_up(link, pending)
            if repeat is not None:
                self._keep_repeatable(repeat)
            raise
        finally:
            if self._first:
                self._call_first()
        return self._decoded(answer, result)

    @asynccontextmanager
    async def open_stream(
        self,
        to: str,
        verb: str,
        args: object,
        *,
        window_bytes: int | None = None,
        timeout: float | None = None,
        trace: str | None = None,
    ) -> AsyncGenerator[AskStream]:
        """Open a stream of bytes and iterate over its parts; leaving early tells the server to stop.

        Args:
            window_bytes: what may be under way to us; at least 4096. Default: the limits'.
            timeout: seconds the whole stream may take; None: no end.

        Raises:
            KatrioError: from the iteration, as `ask` does; parts that came before are delivered first.
        """
        async with self._open_parts(AskStream, to, verb, args, window_bytes, timeout, trace) as stream:
            yield stream

    @asynccontextmanager
    async def open_events(
        self, to: str, verb: str, args: object, *, window_bytes: int | None = None, trace: str | None = None
    ) -> AsyncGenerator[EventStream]:
        """Subscribe, and iterate over events as they happen. Like `open_stream` in all else.

        A subscriber that does not keep up loses events, and each that arrives says how many before it were lost.
        """
        async with self._open_parts(EventStream, to, verb, args, window_bytes, None, trace) as stream:
            yield stream

    @asynccontextmanager
    async def _open_parts(
        self,
        kind: type[P],
        to: str,
        verb: str,
        args: object,
        window_bytes: int | None,
        timeout: float | None,
        trace: str | None,
    ) -> AsyncGenerator[P]:
        deadline = self._deadline(timeout)
        window = window_bytes or self.limits.stream_window_bytes
        link = self._link
        if link is None or self._line.locked() or len(self._pending) >= self._permits:
            link = await self._wait_in_line(deadline)
        stream = kind(self._next_counter(), verb, window=window, post=link.outbox.post)
        try:
            ask = Ask(
                stream.counter, to, verb, encode_args(args), _left(deadline), self._lowest_wanted(), window, trace
            )
            await self._send(link, stream, ask, deadline)
            yield stream
        finally:
            self._give_up(link, stream)
            if self._first:
                self._call_first()

    def _deadline(self, timeout: float | Unset | None) -> float:
        if isinstance(timeout, Unset):
            return trio.current_time() + self.limits.ask_seconds
        return trio.current_time() + checked_seconds(timeout, "timeout")

    def _next_counter(self) -> int:
        self._counter += 1
        return self._counter

    def _lowest_wanted(self) -> int:
        if self._counter % WATERMARK_EVERY == 0:
            self._watermark = min((self._counter, *self._pending, *self._repeatable))
        return self._watermark

    def _take_repeatable(self, counter: int) -> int:
        if counter not in self._repeatable:
            # another task asked again with it while this one waited for its turn
            raise _not_repeatable(counter)
        del self._repeatable[counter]
        return counter

    def _keep_repeatable(self, counter: int) -> None:
        self._repeatable[counter] = None
        if len(self._repeatable) > REPEATABLE:
            del self._repeatable[next(iter(self._repeatable))]

    def _encoded(self, ask: Ask) -> bytes:
        for field, name in (("to", ask.to), ("trace", ask.trace or "")):
            if len(name) > NAME_LENGTH or not _carries(name):
                raise InvalidArgument(f"{field} {name[:80]!r}: no actor has such a name", field=field)
        message = encode(ask)
        if len(message) > self.limits.message_bytes:
            raise InvalidArgument(
                f"the arguments of {ask.verb} make {len(message)} bytes; {self.limits.message_bytes} is the most",
                field="args",
            )
        return message

    async def _send(self, link: Link, pending: PendingAsk, ask: Ask, deadline: float) -> None:
        message = self._encoded(ask)
        self._pending[ask.counter] = pending
        try:
            link.endpoint.send_nowait(message)
        except EndpointBusy:
            await self._send_later(link, pending, message, deadline)
        except TransportError as error:
            raise self._unreachable(f"{self._address}: {error}; {pending.verb} was not sent") from error
        if deadline != inf:
            self._deadlines.add(deadline + self.limits.answer_grace_seconds, pending)

    async def _send_later(self, link: Link, pending: PendingAsk, message: bytes, deadline: float) -> None:
        with trio.move_on_at(deadline) as scope:
            try:
                await link.endpoint.send(message)
            except TransportError as error:
                raise self._unreachable(f"{self._address}: {error}; {pending.verb} was not sent") from error
        if scope.cancelled_caught:
            raise Busy(f"the link to {self._address} stayed full; {pending.verb} was not sent")

    def _unreachable(self, message: str) -> AgentUnreachable:
        # a sandbox's own agent that can't be reached has the same code; the address tells the two apart
        return AgentUnreachable(message, address=self._address)

    def _give_up(self, link: Link, pending: PendingAsk) -> None:
        pending.abandon()
        if self._pending.pop(pending.counter, None) is not None and not link.ended.is_set():
            link.outbox.post(encode(Cancel(pending.counter)))

    def _decoded(self, answer: Reply | Failure, shape: type[T]) -> T:
        if isinstance(answer, Reply):
            try:
                return decode_value(answer.result, shape)
            except InvalidArgument as error:
                raise AgentProtocolError(f"an answer from {self._address} can't be read: {error}") from error
        raise error_from_code(answer.code, answer.message, decode_details(answer.details))

    async def _wait_in_line(self, deadline: float) -> Link:
        """Our turn: the place is ours to take before anything is awaited."""
        with trio.move_on_at(deadline):
            async with self._line:
                while not self._closing.is_set():
                    if self._link is not None and len(self._pending) < self._permits:
                        return self._link
                    await self._first.park()
        if self._link is not None:
            raise Busy(f"{self._permits} asks of this client were in flight all the time; nothing was sent")
        raise self._unreachable(f"no link to {self._address} within the timeout; nothing was sent")

    def _call_first(self) -> None:
        """There may be a link and a place for the first in line."""
        if self._link is not None and len(self._pending) < self._permits:
            self._first.unpark()

    async def _dial(self, nursery: trio.Nursery) -> Link:
        def count_late() -> None:
            self.late += 1

        def close_soon(link: Link) -> None:
            nursery.start_soon(link.endpoint.aclose)

        link = Link(self._pending, count_late=count_late, close_soon=close_soon)
        try:
            link.endpoint = await nursery.start(self._transport.connect, self._address, link)
        except RemoteProtocolError as error:
            raise Unreachable(str(error)) from error
        link.outbox = Outbox(
            link.endpoint,
            backlog_bytes=self.limits.backlog_bytes,
            account=SharedBound(self.limits.backlog_bytes).account(),
            drain_soon=lambda outbox: nursery.start_soon(outbox.drain),
            overflow=lambda: link.fail("the server does not read"),
        )
        link.outbox.post(encode(Hello(VERSIONS, self._client_id, self._epoch, self._counter + 1)))
        with trio.move_on_after(HELLO_SECONDS):
            await link.settled.wait()
        if link.welcome is None:
            await link.endpoint.aclose()
            if link.farewell is not None and link.farewell.code:
                raise error_from_code(link.farewell.code, link.reason, decode_details(link.farewell.details))
            raise Unreachable(f"{self._address}: {link.reason or 'no answer to hello'}")
        self._permits = link.welcome.asks_in_flight
        self._link = link
        self._call_first()
        return link

    async def _dial_again(self, nursery: trio.Nursery, old: Link) -> Link:
        self._link = None
        delay, most = BACKOFF
        while not self._closing.is_set():
            with trio.move_on_after(delay):
                await self._closing.wait()
                break
            try:
                return await self._dial(nursery)
            except (Unreachable, KatrioError):
                delay = min(2 * delay, most)
        self._first.unpark()
        return old


def _not_repeatable(counter: int) -> InvalidArgument:
    return InvalidArgument(f"ask {counter} has no unknown outcome, or one too long ago", field="repeat")


def _carries(name: str) -> bool:
    """Whether a message can carry it: a lone surrogate, as of a file's name that is no UTF-8, it can't."""
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _left(deadline: float) -> int | None:
    return None if deadline == inf else max(0, round((deadline - trio.current_time()) * 1000))


@asynccontextmanager
async def open_client(
    transport: Transport, address: str, *, client_id: str, epoch: int, limits: Limits = DEFAULT_LIMITS
) -> AsyncGenerator[Client]:
    """A client with a live link; hides a nursery with the tasks that keep it.

    Raises: what `Client.run` raises before it starts.
    """
    async with open_collapsing_nursery() as nursery:
        client = Client(transport, address, client_id=client_id, epoch=epoch, limits=limits)
        await nursery.start(client.run)
        try:
            yield client
        finally:
            # the goodbye is bounded by the transport, and under a cancel it is left out
            await client.aclose()
            nursery.cancel_scope.cancel()
