"""Raw ttRPC frames: a link for cases that send what no client of ours would.

For `cases.ttrpc`. Waiting for replies is bounded by the case's time limit.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from actors.conformance.case import FallsShort
from actors.errors import AgentUnreachable
from transports.errors import TransportError
from transports.ttrpc.codec import (
    HEADER_BYTES,
    REQUEST,
    RESPONSE,
    DecodeError,
    FrameDecoder,
    Response,
    decode_response,
    encode_frame,
    encode_method,
    encode_request,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.conformance.kata import Kata

__all__ = ["AGENT", "HEALTH", "RawTtrpc", "frame", "header", "open_raw", "request"]

AGENT, HEALTH = "grpc.AgentService", "grpc.Health"


def request(method: str = "Check", payload: bytes = b"", *, service: str = HEALTH, timeout_nano: int = 0) -> bytes:
    """A request's body."""
    return encode_request(encode_method(service, method), payload, timeout_nano)


def frame(stream_id: int, body: bytes | None = None, *, kind: int = REQUEST, flags: int = 0) -> bytes:
    """A whole frame; a health check by default."""
    whole = encode_frame(kind, stream_id, request() if body is None else body)
    return whole[: HEADER_BYTES - 1] + bytes((flags,)) + whole[HEADER_BYTES:]


def header(length: int, stream_id: int) -> bytes:
    """The header of a request of that length."""
    return length.to_bytes(4) + stream_id.to_bytes(4) + bytes((REQUEST, 0))


class RawTtrpc:
    """One link. Replies may come in any order, and are kept until requested."""

    def __init__(self, kata: Kata, stream: trio.abc.Stream) -> None:
        self.kata = kata
        self.stream = stream
        self._decoder = FrameDecoder()
        self._answers: dict[int, Response] = {}

    async def send(self, data: bytes) -> None:
        """Send raw bytes. Raises: AgentUnreachable."""
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise AgentUnreachable("the agent closed the link") from error

    async def answer(self, stream_id: int) -> Response:
        """The reply with that id. Raises: FallsShort (no ttRPC), AgentUnreachable (it closed the link)."""
        with self.kata.asking(f"stream {stream_id} of a link of its own"):
            while stream_id not in self._answers:
                await self._read()
        return self._answers.pop(stream_id)

    async def _read(self) -> None:
        try:
            data = await self.stream.receive_some()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise AgentUnreachable("the agent broke the link") from error
        if not data:
            raise AgentUnreachable("the agent closed the link")
        for came in self._decoder.feed(bytes(data)):
            if came.kind != RESPONSE:
                raise FallsShort("responses alone", f"a frame of type {came.kind}")
            try:
                response = decode_response(came.buffer, came.start, came.end)
            except DecodeError as error:
                raise FallsShort("a response that can be decoded", str(error.within(came.start))) from error
            if came.stream_id in self._answers:
                raise FallsShort(f"one answer on stream {came.stream_id}", "two")
            self._answers[came.stream_id] = response

    async def check(self, stream_id: int) -> None:
        """Make a health check that must succeed. Raises: FallsShort, AgentUnreachable."""
        await self.send(frame(stream_id))
        response = await self.answer(stream_id)
        if response.code:
            raise FallsShort(
                f"a health check on stream {stream_id} is answered", f"code {response.code}: {response.message}"
            )


@asynccontextmanager
async def open_raw(kata: Kata) -> AsyncGenerator[RawTtrpc]:
    """A new link. Raises: AgentUnreachable."""
    try:
        stream = await kata.dial()
    except TransportError as error:
        raise AgentUnreachable(f"the agent can't be dialled: {error}") from error
    try:
        yield RawTtrpc(kata, stream)
    finally:
        await trio.aclose_forcefully(stream)
