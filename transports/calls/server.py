"""A server of unary calls under Trio, over any byte stream and any protocol.

Calls in progress run beside each other, each in one task, which serves others before and after it (`workers`). A handler takes the payload's bytes and returns bytes; it raises `RpcStatusError` to fail the call. Listening is
in `transports.stream`, protobuf in `actors.schemas`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import trio

from transports.calls.incoming import Incoming, Link
from transports.calls.workers import Workers
from transports.calls.writer import CorkedWriter
from transports.errors import RpcStatusError, StatusCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transports.calls.connection import Called, Request, ServingConnection

__all__ = ["CallContext", "CallServer", "Handler", "OnError"]

MAX_CALLS = 1024
# a client that does not read the reason for closing loses it
LAST_WORDS_SECONDS = 1.0


class CallContext:
    """What a handler may know about its call besides the payload.

    Attributes:
        deadline: on the scale of `trio.current_time()`; infinite if the caller set none. Enforced by the server.
        metadata: the caller's key-value pairs, in order; keys may repeat.
    """

    __slots__ = ("deadline", "metadata", "method", "service")

    def __init__(self, request: Request, deadline: float) -> None:
        self.service = request.service
        self.method = request.method
        self.metadata = request.metadata
        self.deadline = deadline


Handler: TypeAlias = Callable[[bytes, CallContext], Awaitable[bytes]]
OnError: TypeAlias = Callable[[str, str, Exception], None]
# stream id, handler, payload
_Job: TypeAlias = tuple[int, Handler, bytes, CallContext]


class CallServer:
    """Serves calls on any number of streams.

    Args:
        handlers: (service, method) -> handler; any other is answered UNIMPLEMENTED.
        connect: makes the answering side of a protocol, given the maximum number of concurrent calls.
        on_error: called with service, method and an unexpected exception from a handler; the
        caller gets INTERNAL and only the exception's type name.
        max_calls: calls in progress on one connection; one more is answered RESOURCE_EXHAUSTED.

    Attributes:
        incoming: the memory that its clients make it hold.
    """

    def __init__(
        self,
        handlers: Mapping[tuple[str, str], Handler],
        connect: Callable[[int], ServingConnection],
        *,
        on_error: OnError,
        max_calls: int = MAX_CALLS,
    ) -> None:
        self._connect = connect
        self._handlers = dict(handlers)
        self._services = frozenset(service for service, _ in self._handlers)
        self._on_error = on_error
        self._max_calls = max_calls
        self.incoming = Incoming()

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one client until it is gone, then cancel its handlers and return. Closes the stream.

        A half-close counts as a disconnect: calls in progress are not answered, as in other ttRPC and gRPC servers.
        """
        connection = self._connect(self._max_calls)
        link = Link(self.incoming, connection)
        session = _Session(stream, connection, link, self._handlers, self._services, self._on_error)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_write, session.writer, nursery.cancel_scope)
                with link.scope:
                    await session.read(nursery)
                if link.why is not None:
                    connection.end(link.why)
                await session.say_last_words()
                nursery.cancel_scope.cancel()
        finally:
            link.closed()
            # shielded, and never blocks: a Cancelled raised here would hide the error that ended the connection
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)


class _Session:
    """One client's stream."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        connection: ServingConnection,
        link: Link,
        handlers: Mapping[tuple[str, str], Handler],
        services: frozenset[str],
        on_error: OnError,
    ) -> None:
        self.writer = CorkedWriter(stream, connection)
        self._stream = stream
        self._connection = connection
        self._link = link
        self._handlers = handlers
        self._services = services
        self._on_error = on_error
        # for calls that their client may cancel
        self._scopes: dict[int, trio.CancelScope] = {}
        self._waiting_for_client = trio.lowlevel.ParkingLot()

    async def read(self, nursery: trio.Nursery) -> None:
        """Read until the client is gone, or has violated its protocol."""
        connection, writer, link = self._connection, self.writer, self._link
        workers = Workers(nursery, self._serve_call)
        while connection.failure is None:
            # a client that sends without reading is not read either
            if writer.full:
                await writer.room()
            most = await link.room()
            try:
                data = await self._stream.receive_some(most)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if not data:
                return
            writer.received()
            for called in connection.receive_data(bytes(data)):
                job = self._admit(called)
                if job is not None:
                    workers.add(job)
            link.received()
            for stream_id in connection.taken_back():
                if stream_id in self._scopes:
                    self._scopes[stream_id].cancel()
            if self._waiting_for_client:
                self._waiting_for_client.unpark_all()
            if connection.outgoing_bytes:
                writer.flush(last=not connection.calls)

    def _admit(self, called: Called) -> _Job | None:
        """The job of a call that is to be served; None for one that is refused."""
        stream_id, request = called
        service, method, payload, timeout_nano, _ = request
        handler = self._handlers.get((service, method))
        if handler is None:
            unknown = f"method {method}" if service in self._services else f"service {service}"
            self._connection.send_status(stream_id, StatusCode.UNIMPLEMENTED, unknown)
            return None
        refusal = self._link.take(len(payload))
        if refusal is not None:
            self._connection.send_status(stream_id, StatusCode.RESOURCE_EXHAUSTED, refusal)
            return None
        deadline = trio.current_time() + timeout_nano / 1e9 if timeout_nano else math.inf
        if timeout_nano or self._connection.takes_back:
            # now and not when it is served: it may be taken back before that
            self._scopes[stream_id] = trio.CancelScope(deadline=deadline)
        return stream_id, handler, payload, CallContext(request, deadline)

    async def say_last_words(self) -> None:
        """Tell a client that violated its protocol why we close; it may still be listening."""
        if self._connection.failure is not None:
            self.writer.flush(last=True)
            with trio.move_on_after(LAST_WORDS_SECONDS):
                await self.writer.emptied()

    async def _serve_call(self, job: _Job) -> None:
        stream_id, handler, payload, context = job
        connection, writer = self._connection, self.writer
        code, message, reply = 0, "", b""
        details: tuple[bytes, ...] = ()
        scope = self._scopes.get(stream_id)
        try:
            if scope is None:
                reply = await handler(payload, context)
            else:
                code, message = StatusCode.DEADLINE_EXCEEDED, "context deadline exceeded"
                with scope:
                    reply = await handler(payload, context)
                    code = 0
        except RpcStatusError as error:
            code, message, details = error.code, error.message, error.details
        except Exception as error:
            self._on_error(context.service, context.method, error)
            code, message = StatusCode.INTERNAL, type(error).__name__
        finally:
            if scope is not None:
                del self._scopes[stream_id]
            self._link.give_back(len(payload))
        if writer.full:
            await writer.room()
        while connection.busy:
            await self._waiting_for_client.park()
        if code:
            connection.send_status(stream_id, code, message, details)
        else:
            connection.send_reply(stream_id, reply)
        writer.flush(last=not connection.calls)


async def _write(writer: CorkedWriter, scope: trio.CancelScope) -> None:
    try:
        await writer.run()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        scope.cancel()
