"""Defects of the ttRPC server: what becomes of a call before a service sees it, and of its answer afterwards."""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING, Any

import trio

from actors.node.protocols import GuestProtocol
from actors.schemas.rpcs import RPCS, SchemaError, decode_request
from tests.support.planted.defect import Defect, Kit
from transports.calls.connection import Called
from transports.calls.server import CallServer
from transports.errors import RpcStatusError, StatusCode
from transports.ttrpc.codec import HEADER_BYTES, MAX_BODY, REQUEST, RESPONSE
from transports.ttrpc.connection import ServerConnection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transports.calls.server import CallContext, Handler

__all__ = ["DEFECTS", "Anything", "Meddler", "Raw", "UsedStreamIds"]

HEADER = struct.Struct(">IIBB")


class Raw:
    """One frame, nothing checked."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.length, self.stream_id, self.kind, self.flags = HEADER.unpack(head)
        self.body = body

    def encode(self) -> bytes:
        return HEADER.pack(self.length, self.stream_id, self.kind, self.flags) + self.body


def cut_frames(held: bytearray) -> list[Raw]:
    """Take the whole frames from the front."""
    frames: list[Raw] = []
    while len(held) >= HEADER_BYTES:
        end = HEADER_BYTES + int.from_bytes(held[:4])
        if len(held) < end:
            break
        frames.append(Raw(bytes(held[:HEADER_BYTES]), bytes(held[HEADER_BYTES:end])))
        del held[:end]
    return frames


class Meddler(trio.abc.Stream):
    """A stream between a client and an honest server; `received` and `sent` may change what passes."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self.inner = inner
        self.incoming, self.outgoing = bytearray(), bytearray()

    def received(self, data: bytes) -> bytes:
        return data

    def sent(self, data: bytes) -> bytes:
        return data

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while True:
            data = bytes(await self.inner.receive_some(max_bytes))
            passed = self.received(data) if data else b""
            if passed or not data:
                return passed

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.inner.send_all(self.sent(bytes(data)))

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.inner.aclose()


class SecondReplyGoesAstray(Meddler):
    """Every second answer carries an id that nobody has asked under."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        super().__init__(inner)
        self._answers = 0

    def sent(self, data: bytes) -> bytes:
        self.outgoing += data
        frames = cut_frames(self.outgoing)
        for frame in frames:
            self._answers += frame.kind == RESPONSE
            if self._answers % 2 == 0:
                frame.stream_id += 1000
        return b"".join(frame.encode() for frame in frames)


class OneFrameForEachRead(Meddler):
    """What comes behind a frame in the same read is lost."""

    def received(self, data: bytes) -> bytes:
        self.incoming += data
        frames = cut_frames(self.incoming)
        if frames:
            self.incoming.clear()
        return b"".join(frame.encode() for frame in frames[:1])


class WholeFramesOnly(Meddler):
    """A frame that does not come in one piece is lost."""

    def received(self, data: bytes) -> bytes:
        held = bytearray(data)
        return b"".join(frame.encode() for frame in cut_frames(held))


class TooMuchIsTheEnd(Meddler):
    """A frame that is too long ends the connection."""

    def received(self, data: bytes) -> bytes:
        self.incoming += data
        if len(self.incoming) >= HEADER_BYTES and int.from_bytes(self.incoming[:4]) > MAX_BODY:
            raise trio.BrokenResourceError("a frame that is too long")
        return b"".join(frame.encode() for frame in cut_frames(self.incoming))


class AnyStreamId(Meddler):
    """Ids are not looked at: even ones, and those that were used, are as good as any."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        super().__init__(inner)
        self._asked: dict[int, int] = {}
        self._next = 1

    def takes(self, stream_id: int) -> bool:
        """Whether a request under it gets another."""
        return True

    def received(self, data: bytes) -> bytes:
        self.incoming += data
        frames = cut_frames(self.incoming)
        for frame in frames:
            if frame.kind == REQUEST and self.takes(frame.stream_id):
                self._asked[self._next] = frame.stream_id
                frame.stream_id, self._next = self._next, self._next + 2
        return b"".join(frame.encode() for frame in frames)

    def sent(self, data: bytes) -> bytes:
        self.outgoing += data
        frames = cut_frames(self.outgoing)
        for frame in frames:
            frame.stream_id = self._asked.pop(frame.stream_id, frame.stream_id)
        return b"".join(frame.encode() for frame in frames)


class UsedStreamIds(AnyStreamId):
    """Those that were used are as good as new; from the first of them on all are renumbered."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        super().__init__(inner)
        self._renumbers = False

    def takes(self, stream_id: int) -> bool:
        if stream_id % 2 == 0:
            return False
        self._renumbers = self._renumbers or stream_id < self._next
        if not self._renumbers:
            self._next = stream_id + 2
        return self._renumbers


class OneCallAtATime(Meddler):
    """A connection's next call begins when the one before is answered."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        super().__init__(inner)
        self._waiting: deque[Raw] = deque()
        self._answered = trio.Event()
        self._answered.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while not self._waiting:
            data = bytes(await self.inner.receive_some(max_bytes))
            if not data:
                return data
            self.incoming += data
            self._waiting += cut_frames(self.incoming)
        await self._answered.wait()
        self._answered = trio.Event()
        return self._waiting.popleft().encode()

    def sent(self, data: bytes) -> bytes:
        self._answered.set()
        return data


class _Untimed(ServerConnection):
    def receive_data(self, data: bytes) -> list[Called]:
        calls = super().receive_data(data)
        return [Called(each.stream_id, each.request._replace(timeout_nano=0)) for each in calls]


class DeadlinesIgnored(CallServer):
    def __init__(self, handlers: Mapping[tuple[str, str], Handler], _: object, **named: Any) -> None:
        super().__init__(handlers, _Untimed, **named)


class Anything(dict[tuple[str, str], "Handler"]):
    """Handlers for whatever is asked for."""

    def __init__(self, known: Mapping[tuple[str, str], Handler], handler: Handler) -> None:
        super().__init__(known)
        self._handler = handler

    def get(self, key: tuple[str, str], default: object = None) -> Any:
        return super().get(key, self._handler)


async def _empty(_payload: bytes, _: CallContext) -> bytes:
    await trio.lowlevel.checkpoint()
    return b""


async def _not_found(_payload: bytes, context: CallContext) -> bytes:
    raise RpcStatusError(StatusCode.NOT_FOUND, f"/{context.service}/{context.method} is not supported", ())


class UnknownMethodAccepted(CallServer):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._handlers = Anything(self._handlers, _empty)


class UnknownMethodNotFound(CallServer):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._handlers = Anything(self._handlers, _not_found)


class LinksShareTheirFate(CallServer):
    """The end of one connection is the end of all."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._serving: dict[trio.CancelScope, None] = {}

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        with trio.CancelScope() as scope:
            self._serving[scope] = None
            await super().serve_stream(stream)
        self._serving.pop(scope, None)
        others, self._serving = self._serving, {}
        for other in others:
            other.cancel()


class OneLinkAtATime(CallServer):
    """A second connection is served once the first has ended."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._turn = trio.Lock()

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        async with self._turn:
            await super().serve_stream(stream)


class OneLock:
    """Every call but Check runs under one lock, waits and reads included."""

    def __init__(self) -> None:
        self._turn = trio.Lock()

    async def __call__(self, handler: Handler, payload: bytes, context: CallContext) -> bytes:
        if context.service.endswith("Health"):
            return await handler(payload, context)
        async with self._turn:
            return await handler(payload, context)


async def failure_is_empty(handler: Handler, payload: bytes, context: CallContext) -> bytes:
    """A failed call is answered like one that was done, without a status."""
    try:
        return await handler(payload, context)
    except RpcStatusError:
        return b""


async def every_failure_is_internal(handler: Handler, payload: bytes, context: CallContext) -> bytes:
    """One code for all that can go wrong."""
    try:
        return await handler(payload, context)
    except RpcStatusError as error:
        raise RpcStatusError(StatusCode.INTERNAL, error.message, ()) from error


async def bad_request_is_silence(handler: Handler, payload: bytes, context: CallContext) -> bytes:
    """What panics in a handler is never answered."""
    try:
        return await handler(payload, context)
    except RpcStatusError as error:
        if error.code == StatusCode.INVALID_ARGUMENT:
            await trio.sleep_forever()
        raise


async def unreadable_is_empty(handler: Handler, payload: bytes, context: CallContext) -> bytes:
    """A payload that is no such message is taken for an empty one."""
    try:
        decode_request(RPCS[context.method], payload)
    except SchemaError:
        payload = b""
    return await handler(payload, context)


DEFECTS = (
    Defect(
        "one lock for all calls",
        "kata-agent (Rust): one mutex around the sandbox",
        Kit(around=OneLock()),
        ("race.pending-calls",),
    ),
    Defect(
        "every second reply goes astray",
        "pkg/hyperstart: replies by order",
        Kit(rpc=SecondReplyGoesAstray),
        ("ttrpc.heap",),
    ),
    Defect(
        "one frame is served for each read",
        "an agent that takes a read for a frame",
        Kit(rpc=OneFrameForEachRead),
        ("ttrpc.heap",),
    ),
    Defect(
        "a frame must come whole",
        "hyperstart: a header that is readable alone",
        Kit(rpc=WholeFramesOnly),
        ("ttrpc.byte-by-byte", "ttrpc.header-alone"),
    ),
    Defect(
        "a frame that is too long ends the link",
        "hyperstart: any length over its own",
        Kit(rpc=TooMuchIsTheEnd),
        ("ttrpc.oversize",),
    ),
    Defect("any stream id is taken", "ttrpc before 1.0", Kit(rpc=AnyStreamId), ("ttrpc.even-id", "ttrpc.used-id")),
    Defect(
        "deadlines are ignored",
        "virtcontainers: no deadline but Check's",
        Kit(server=DeadlinesIgnored),
        ("ttrpc.deadline",),
    ),
    Defect(
        "unknown methods are accepted",
        "virtcontainers' noop agent",
        Kit(server=UnknownMethodAccepted),
        ("ttrpc.unknown-method",),
    ),
    Defect(
        "unknown methods are not found",
        "ttrpc-rust: NOT_FOUND, is not supported",
        Kit(server=UnknownMethodNotFound),
        ("ttrpc.unknown-method",),
    ),
    Defect(
        "links share their fate",
        "virtcontainers kata_agent.go sendReq",
        Kit(server=LinksShareTheirFate),
        ("race.links-apart",),
    ),
    Defect(
        "one link is served at a time",
        "hyperstart: one connection for each port",
        Kit(server=OneLinkAtATime),
        ("race.links-apart",),
    ),
    Defect(
        "one call of a link is served at a time",
        "hyperstart: one command in flight",
        Kit(rpc=OneCallAtATime),
        ("link.calls-side-by-side",),
    ),
    Defect(
        "a failure has no status",
        "an agent that forgets its errors",
        Kit(around=failure_is_empty),
        ("remove.unknown-refused",),
    ),
    Defect(
        "every failure is INTERNAL",
        "kata-agent (Rust): nearly all failures",
        Kit(around=every_failure_is_internal),
        ("remove.unknown-refused",),
    ),
    Defect(
        "a bad request is never answered",
        "kata-agent: a handler's panic",
        Kit(around=bad_request_is_silence),
        ("ttrpc.unreadable-payload",),
    ),
    Defect(
        "an unreadable request is an empty one",
        "an agent without a decoder's errors",
        Kit(around=unreadable_is_empty),
        ("ttrpc.unreadable-payload",),
    ),
    Defect(
        "gRPC: one lock for all calls",
        "kata-agent 1.x, agent.go sandbox lock",
        Kit(around=OneLock()),
        ("race.pending-calls",),
        GuestProtocol.GRPC,
    ),
    Defect(
        "gRPC: a failure has no status",
        "an agent that forgets its errors",
        Kit(around=failure_is_empty),
        ("remove.unknown-refused",),
        GuestProtocol.GRPC,
    ),
    Defect(
        "gRPC: links share their fate",
        "virtcontainers kata_agent.go sendReq",
        Kit(server=LinksShareTheirFate),
        ("race.links-apart",),
        GuestProtocol.GRPC,
    ),
)
