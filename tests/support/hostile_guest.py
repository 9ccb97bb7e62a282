"""A guest that speaks ttRPC on a real socket, answers honestly, and lies where a test says so.

For the tests of what an untrusted guest can do to the host. It works below `TtrpcServer`, whose own rules would not let
it lie. Not for what the lies are: `tests.support.lies` has the table.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import trio

from actors.schemas import agent as api
from actors.schemas import network as net
from actors.schemas import stats
from actors.schemas.guestwords import GuestWords, say_words
from actors.schemas.rpcs import RPCS, encode_response
from transports.ttrpc.codec import RESPONSE, FrameDecoder, decode_request, encode_frame
from transports.ttrpc.codec import encode_response as encode_reply

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Mapping

    from msgspec import Struct

    from transports.stream import SocketStream

__all__ = ["HONEST", "Asked", "HostileGuest"]

# what each call is answered when it is not lied about; whatever is missing is answered Empty
HONEST: Mapping[str, Struct] = {
    "Check": api.HealthCheckResponse(status=1),
    "Version": api.VersionCheckResponse(
        grpc_version=say_words(GuestWords("runc", sandbox=False)), agent_version="katrio hostile"
    ),
    "GetGuestDetails": api.GuestDetailsResponse(agent_details=api.AgentDetails(version="1.0")),
    "WaitProcess": api.WaitProcessResponse(status=7),
    "WriteStdin": api.WriteStreamResponse(len=3),
    "ReadStdout": api.ReadStreamResponse(data=b"out"),
    "ReadStderr": api.ReadStreamResponse(data=b"err"),
    "ListProcesses": api.ListProcessesResponse(process_list=b"[1,2]"),
    "StatsContainer": stats.StatsContainerResponse(),
    "GetOOMEvent": api.OOMEvent(container_id="c1"),
    "ListInterfaces": net.Interfaces(),
    "ListRoutes": net.Routes(),
}


class Asked(NamedTuple):
    """One call that the host made, and the means to answer it in any way."""

    stream: SocketStream
    # the very socket, for what a stream would not do
    raw: socket.socket
    lock: trio.Lock
    stream_id: int
    method: str
    payload: bytes

    async def send(self, data: bytes) -> None:
        """Any bytes, whole among those of other answers."""
        async with self.lock:
            await self.stream.send_all(data)

    async def body(self, body: bytes, stream_id: int | None = None) -> None:
        """A response frame with that body."""
        await self.send(encode_frame(RESPONSE, self.stream_id if stream_id is None else stream_id, body))

    async def payload_of(self, payload: bytes) -> None:
        """An OK response with that payload."""
        await self.body(encode_reply(payload))

    async def struct(self, response: Struct) -> None:
        """An OK response with that message."""
        await self.payload_of(encode_response(RPCS[self.method], response))

    async def honestly(self) -> None:
        """As an honest guest would."""
        honest = HONEST.get(self.method)
        await self.payload_of(b"" if honest is None else encode_response(RPCS[self.method], honest))


class HostileGuest:
    """Serve it with `serve_unix(path, guest.serve)`. `lies` may be changed while it runs.

    Attributes:
        lies: method -> what is done instead of an honest answer.
        calls: how often each method was called.
        connections: how many were made.
        greets: done on each new connection, before anything is read.
    """

    def __init__(self) -> None:
        self.lies: dict[str, Callable[[Asked], Awaitable[object]]] = {}
        self.calls: Counter[str] = Counter()
        self.connections = 0
        self.greets: Callable[[SocketStream], Awaitable[object]] | None = None

    async def serve(self, stream: SocketStream) -> None:
        """One connection, until the host closes it or we do."""
        self.connections += 1
        raw = stream._socket  # to half-close and to reset
        decoder, lock = FrameDecoder(), trio.Lock()
        async with trio.open_nursery() as nursery:
            try:
                if self.greets is not None:
                    await self.greets(stream)
                while data := await stream.receive_some():
                    for frame in decoder.feed(bytes(data)):
                        request = decode_request(frame.buffer, frame.start, frame.end)
                        asked = Asked(stream, raw, lock, frame.stream_id, request.method, request.payload)
                        nursery.start_soon(self._answer, asked)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            nursery.cancel_scope.cancel()

    async def _answer(self, asked: Asked) -> None:
        self.calls[asked.method] += 1
        lie = self.lies.get(asked.method)
        try:
            await (asked.honestly() if lie is None else lie(asked))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # the host has had enough
            return
