"""A client of unary calls under Trio: many concurrent calls over one byte stream.

The owner of an agent connection starts `run` in a nursery, then calls `call` from any task. The client never
redials or retries: its owner knows which calls are idempotent. The protocol is the connection's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import outcome
import trio

from transports.calls.writer import CorkedWriter
from transports.errors import EndpointBroken, EndpointClosed, RpcStatusError, TransportError, WrongPeer
from transports.portions import PortionReader

if TYPE_CHECKING:
    from transports.calls.connection import CallingConnection, Replied

__all__ = ["CallClient"]

# after a GOAWAY, how long to wait for outstanding replies; the redial waits for this
LEAVING_SECONDS = 5.0


class CallClient:
    """Calls over one stream. The stream belongs to the client: `run` closes it.

    Args:
        connection: new; the calling side of a protocol.
        protocol: its name, for display.

    Attributes:
        ended: why the connection ended; `None` while it lives.
    """

    def __init__(self, stream: trio.abc.Stream, connection: CallingConnection, protocol: str) -> None:
        self._stream = stream
        self._connection = connection
        self._protocol = protocol
        # no spot for each: what a cancel of one forgets lies in three places, and calls are made by the ten thousand
        self._waiting: dict[int, trio.lowlevel.Task] = {}
        self._writer = CorkedWriter(stream, self._connection)
        # callers whose reply has arrived and that have not run yet: each may call again at once
        self._woken = 0
        self._given_up: set[int] = set()
        self._waiting_for_turn = trio.lowlevel.ParkingLot()
        self._reading = trio.CancelScope()
        self._scope = trio.CancelScope()
        self.ended: TransportError | None = None

    @property
    def accepting(self) -> bool:
        """Whether another call can be made."""
        return self.ended is None and self._connection.leaving is None

    @property
    def dropped_replies(self) -> int:
        """Replies that arrived after their caller gave up, or that match no call."""
        return self._connection.dropped_replies

    @property
    def calls_in_flight(self) -> int:
        """Calls waiting for their reply."""
        return len(self._waiting)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve calls until the connection ends; then every call in flight fails at once, and this returns.

        It returns normally whichever side ended it, see `ended`: a lost link concerns its owner, not sibling tasks.
        """
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    if self._connection.outgoing_bytes:
                        self._writer.flush(last=True)
                    task_status.started()
                    with self._reading:
                        self._end(await self._read())
                    if (leaving := self._connection.leaving) is not None:
                        self._end(EndpointBroken(*leaving.args))
                    nursery.cancel_scope.cancel()
        finally:
            self._end(self._closed())
            # shielded, and never blocks: a Cancelled raised here would hide the error that ended the connection
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)

    async def call(self, service: str, method: str, payload: bytes, *, timeout_nano: int = 0) -> bytes:
        """Call `service`/`method` and return the reply's payload. If cancelled, a late reply is dropped.

        Args:
            service: the full protobuf name, e.g. `grpc.AgentService`.
            timeout_nano: the *server's* time limit in ns, counted from receipt; 0 is none. Not enforced here.

        Raises:
            RpcStatusError: the server answered with a failure.
            MessageTooLarge: over 4 MiB; nothing was sent.
            LocalProtocolError: a bad timeout, or 2**30 calls were made; nothing was sent.
            EndpointBroken, RemoteProtocolError: the connection ended during the call; its outcome is unknown. A call
            made after the end raises the same.
            Unreachable: the agent takes no more calls; nothing was sent.
            EndpointClosed: we closed it.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._writer.full:
            await self._writer.room()
        while self._connection.busy and self.accepting:
            await self._waiting_for_turn.park()
        if self.ended is not None:
            raise _again(self.ended)
        stream_id = self._connection.send_request(service, method, payload, timeout_nano)
        self._writer.flush(last=not self._woken)
        self._waiting[stream_id] = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            # here and not after the wait: the reply may arrive before this task runs again, and must not reschedule it twice
            del self._waiting[stream_id]
            self._connection.forget(stream_id)
            self._given_up.add(stream_id)
            return trio.lowlevel.Abort.SUCCEEDED

        try:
            reply: Replied = await trio.lowlevel.wait_task_rescheduled(abort)
        finally:
            if stream_id in self._given_up:
                # tells the peer that nobody waits; not done in the abort function, whose order is not deterministic
                self._given_up.discard(stream_id)
                self._writer.flush(last=not self._woken)
        self._woken -= 1
        if reply.code:
            raise RpcStatusError(reply.code, reply.message, reply.details)
        return reply.payload

    async def aclose(self) -> None:
        """Close the connection; calls in flight raise `EndpointClosed`. Idempotent."""
        await self.give_up(self._closed())

    async def give_up(self, why: TransportError) -> None:
        """Close the connection with a reason, which calls in flight raise. Idempotent: the first reason stays."""
        self._end(why)
        self._scope.cancel()
        await trio.aclose_forcefully(self._stream)
        await trio.lowlevel.checkpoint()

    async def _read(self) -> TransportError:
        connection, waiting = self._connection, self._waiting
        # the agent is untrusted: whatever it sends, other tasks run in between
        receive = PortionReader(self._stream, lambda: connection.lacking).receive
        reschedule = trio.lowlevel.reschedule
        while True:
            try:
                data = await receive()
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                return self._broken(error)
            if self.ended is not None:
                # closed while these bytes were in flight: callers have been failed already
                return self.ended
            if not data:
                return EndpointBroken(f"the agent closed the {self._protocol} connection")
            replies = connection.receive_data(data)
            self._woken += len(replies)
            self._writer.received()
            for reply in replies:
                reschedule(waiting.pop(reply.stream_id), outcome.Value(reply))
            if connection.failure is not None:
                return connection.failure
            if connection.outgoing_bytes:
                self._writer.flush(last=not self._woken)
            self._waiting_for_turn.unpark_all()
            if connection.leaving is not None:
                if not waiting:
                    return EndpointBroken(*connection.leaving.args)
                self._reading.deadline = min(self._reading.deadline, trio.current_time() + LEAVING_SECONDS)

    async def _write(self) -> None:
        try:
            await self._writer.run()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._end(self._broken(error))
            self._scope.cancel()

    def _end(self, why: TransportError) -> None:
        if self.ended is not None:
            return
        self.ended = why
        self._waiting_for_turn.unpark_all()
        for task in self._waiting.values():
            trio.lowlevel.reschedule(task, outcome.Error(_again(why)))
        self._waiting.clear()

    def _closed(self) -> EndpointClosed:
        return EndpointClosed(f"the {self._protocol} connection was closed on our side")

    def _broken(self, cause: BaseException) -> TransportError:
        if isinstance(cause.__cause__, WrongPeer):
            return cause.__cause__
        error = EndpointBroken(f"the {self._protocol} connection broke: {cause.__cause__ or cause}")
        error.__cause__ = cause
        return error


def _again(why: TransportError) -> TransportError:
    # a new instance for each task: one shared instance would accumulate every task's traceback
    error = type(why)(*why.args)
    error.__cause__ = why.__cause__
    return error
