"""How ttRPC frames leave: corked, in part, and never more of them than the bound."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tests.support.calls import client_on, failure_of, request, responses, server_of
from transports.errors import (
    EndpointBroken,
)
from transports.stream import SocketStream
from transports.ttrpc.codec import (
    DATA,
    RESPONSE,
    FrameDecoder,
    decode_request,
    encode_frame,
    encode_response,
)

if TYPE_CHECKING:
    from trio.testing import MemoryReceiveStream, MemorySendStream, MockClock

    from transports.calls.server import CallContext

    Memory = trio.StapledStream[MemorySendStream, MemoryReceiveStream]


class _Counting(trio.abc.Stream):
    """A memory stream that keeps what each send carried and can be kept from sending."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self._inner = inner
        self.sends: list[bytes] = []
        self.received = 0
        self.gate = trio.Event()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.sends.append(bytes(data))
        await self.gate.wait()
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.gate.wait()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._inner.receive_some(max_bytes)
        self.received += len(data)
        return data

    async def aclose(self) -> None:
        await self._inner.aclose()


async def test_frames_of_one_pass_leave_in_one_send(autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    counting = _Counting(near)
    async with trio.open_nursery() as nursery:
        client = await client_on(nursery, counting)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(10):
            nursery.start_soon(failure_of, lambda: client.call("t.S", "Echo", b"x"))
        await trio.testing.wait_all_tasks_blocked()
        assert [len(FrameDecoder().feed(sent)) for sent in counting.sends] == [10]
        await client.aclose()
        await far.aclose()


async def test_callers_wait_while_too_much_is_unsent_and_go_on_in_order_of_ids(autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    counting = _Counting(near)
    payload = bytes(300_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server_of().serve_stream, far)
        client = await client_on(nursery, counting)
        results: list[bytes] = []

        async def call() -> None:
            results.append(await client.call("t.S", "Echo", payload))

        async with trio.open_nursery() as calls:
            for _ in range(12):
                calls.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            # 1 MiB and the frame that passed it; the rest wait without being encoded
            assert client.calls_in_flight == 4
            counting.gate.set()
        assert results == [payload] * 12
        frames = FrameDecoder().feed(b"".join(counting.sends))
        assert [frame.stream_id for frame in frames] == list(range(1, 25, 2))
        assert all(len(decode_request(f.buffer, f.start, f.end).payload) == 300_000 for f in frames)
        await client.aclose()


async def test_a_client_that_sends_and_never_reads_is_not_read_for_ever(autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    counting = _Counting(far)
    served = 0

    async def big(_payload: bytes, _context: CallContext) -> bytes:
        nonlocal served
        await trio.lowlevel.checkpoint()
        served += 1
        return bytes(500_000)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server_of(Big=big).serve_stream, counting)
        for turn in range(50):
            await near.send_all(request(2 * turn + 1, "Big"))
            await trio.testing.wait_all_tasks_blocked()
        # three replies are over 1 MiB; the reader had one request more in its hands
        assert served == 4
        counting.gate.set()
        assert sorted(answer[0] for answer in await responses(near, 50)) == list(range(1, 101, 2))
        assert served == 50
        nursery.cancel_scope.cancel()


async def test_a_client_that_floods_with_offences_and_never_reads_is_not_read_for_ever(
    autojump_clock: MockClock,
) -> None:
    near, far = trio.testing.memory_stream_pair()
    counting = _Counting(far)
    flood = encode_frame(DATA, 2, b"") * 1000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server_of().serve_stream, counting)
        for _ in range(100):
            await near.send_all(flood)
            await trio.testing.wait_all_tasks_blocked()
        # a refusal has some 60 bytes: 1 MiB of them
        assert counting.received < 30 * len(flood)
        nursery.cancel_scope.cancel()


async def test_a_frame_that_the_kernel_takes_in_part_is_finished_by_the_writer(autojump_clock: MockClock) -> None:
    near, far = map(SocketStream, socket.socketpair())
    async with trio.open_nursery() as nursery:
        client = await client_on(nursery, near)
        payload = bytes(range(256)) * 8192
        results: list[bytes] = []

        async def call() -> None:
            results.append(await client.call("t.S", "Echo", payload))

        nursery.start_soon(call)
        decoder = FrameDecoder()
        frames = decoder.feed(b"")
        while not frames:
            frames = decoder.feed(await far.receive_some())
        (frame,) = frames
        assert decode_request(frame.buffer, frame.start, frame.end).payload == payload
        await far.send_all(encode_frame(RESPONSE, frame.stream_id, encode_response(b"got it")))
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert results == [b"got it"]
        await client.aclose()
        await far.aclose()


async def test_a_peer_that_dies_under_an_inline_send_breaks_the_call_and_nothing_else(
    autojump_clock: MockClock,
) -> None:
    near, far = map(SocketStream, socket.socketpair())
    async with trio.open_nursery() as nursery:
        client = await client_on(nursery, near)
        await trio.testing.wait_all_tasks_blocked()
        await far.aclose()
        error = await failure_of(lambda: client.call("t.S", "Echo", b"x"))
        assert isinstance(error, EndpointBroken)


class Counted(SocketStream):
    """Keeps how many frames each write has, and whether it waited for the writer's task."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__(end)
        self.writes: list[tuple[str, int]] = []

    def send_nowait(self, data: bytes) -> int:
        self.writes.append(("at once", len(FrameDecoder().feed(data))))
        return super().send_nowait(data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(("by the task", len(FrameDecoder().feed(bytes(data)))))
        await super().send_all(data)


@pytest.mark.parametrize("asked", ["Nope", "Echo", "Nope Nope", "Echo Echo"])
async def test_what_is_answered_in_one_pass_leaves_at_once_and_together(asked: str, autojump_clock: MockClock) -> None:
    near, far = SocketStream((ends := socket.socketpair())[0]), Counted(ends[1])
    calls = [request(2 * number + 1, method) for number, method in enumerate(asked.split())]
    async with near, trio.open_nursery() as nursery:
        nursery.start_soon(server_of().serve_stream, far)
        await near.send_all(b"".join(calls))
        await responses(near, len(calls))
        assert far.writes == [("at once", len(calls))]
        nursery.cancel_scope.cancel()


async def test_a_lone_call_leaves_at_once(autojump_clock: MockClock) -> None:
    near, far = Counted((ends := socket.socketpair())[0]), SocketStream(ends[1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server_of().serve_stream, far)
        client = await client_on(nursery, near)
        for number in range(1, 4):
            assert await client.call("t.S", "Echo", b"x") == b"x"
            assert near.writes == [("at once", 1)] * number
        await client.aclose()
