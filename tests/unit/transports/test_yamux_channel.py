"""yamux under Trio: streams that behave as Trio's, one channel for many, over memory and over a real pseudo terminal."""

from __future__ import annotations

import os
import tty
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from transports.errors import EndpointBroken, RemoteProtocolError, Unreachable
from transports.serial import serial_dialer
from transports.stream import dial_with_backoff
from transports.yamux.channel import YamuxChannel, YamuxStream
from transports.yamux.codec import Flag, FrameDecoder, GoAway, Kind, encode
from transports.yamux.dialer import open_yamux_dialer, serve_yamux
from transports.yamux.session import BACKLOG

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from transports.base import Dialer
    from transports.yamux.channel import YamuxStream


@asynccontextmanager
async def open_pair() -> AsyncGenerator[tuple[YamuxChannel, YamuxChannel]]:
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        client, server = YamuxChannel(near, client=True), YamuxChannel(far, client=False)
        await nursery.start(client.run)
        await nursery.start(server.run)
        yield client, server
        nursery.cancel_scope.cancel()


async def test_a_stream_behaves_as_trio_wants_its_streams() -> None:
    async with open_pair() as (client, server):

        async def make() -> tuple[YamuxStream, YamuxStream]:
            return await client.open_stream(), await server.accept()

        async def make_clogged() -> tuple[YamuxStream, YamuxStream]:
            left, right = await make()
            for stream in (left, right):
                with trio.move_on_after(0.05):
                    await stream.send_all(bytes(1 << 20))
            return left, right

        with trio.fail_after(30):
            await trio.testing.check_half_closeable_stream(make, make_clogged)


async def test_a_stream_that_is_not_read_holds_no_other_up(autojump_clock: trio.testing.MockClock) -> None:
    async with open_pair() as (client, server), trio.open_nursery() as nursery:
        stuck = await client.open_stream()
        await server.accept()
        nursery.start_soon(stuck.send_all, bytes(1 << 20))
        await trio.testing.wait_all_tasks_blocked()
        lively, far = await client.open_stream(), await server.accept()
        for _ in range(50):
            await lively.send_all(b"x" * 20_000)
            got = 0
            while got < 20_000:
                got += len(await far.receive_some())
        nursery.cancel_scope.cancel()


async def test_a_megabyte_goes_through_while_it_is_read() -> None:
    async with open_pair() as (client, server), trio.open_nursery() as nursery:
        near, far = await client.open_stream(), await server.accept()
        sent = bytes(range(256)) * 8192

        async def send() -> None:
            await near.send_all(sent)
            await near.send_eof()

        nursery.start_soon(send)
        got = bytearray()
        while data := await far.receive_some():
            got += data
        assert got == sent


async def test_the_end_of_a_channel_ends_its_streams_and_what_came_can_be_read() -> None:
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        client = YamuxChannel(near, client=True)
        await nursery.start(client.run)
        stream = await client.open_stream()
        await far.send_all(encode(Kind.DATA, Flag.ACK, 1, 4) + b"last")
        await trio.testing.wait_all_tasks_blocked()
        await far.aclose()
        await client.wait_ended()
        assert await stream.receive_some() == b"last"
        with pytest.raises(trio.BrokenResourceError, match="closed the yamux channel"):
            await stream.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"x")
        with pytest.raises(Unreachable, match="has ended"):
            await client.open_stream()
        with pytest.raises(EndpointBroken):
            await client.accept()
        with pytest.raises(EndpointBroken):
            await client.ping()


async def test_a_stream_that_the_peer_ended_ends_so_though_the_channel_has_ended() -> None:
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        client = YamuxChannel(near, client=True)
        await nursery.start(client.run)
        stream = await client.open_stream()
        await far.send_all(encode(Kind.DATA, Flag.ACK | Flag.FIN, 1, 4) + b"last")
        await trio.testing.wait_all_tasks_blocked()
        await far.aclose()
        await client.wait_ended()
        assert await stream.receive_some(3) == b"las"
        assert await stream.receive_some() == b"t"
        for _ in range(2):
            assert await stream.receive_some() == b""
        with pytest.raises(trio.BrokenResourceError, match="closed the yamux channel"):
            await stream.send_all(b"x")


async def test_a_stream_waits_for_its_opening_while_the_peer_has_taken_none_of_so_many() -> None:
    near, far = trio.testing.memory_stream_pair()
    opened: list[YamuxStream] = []
    async with trio.open_nursery() as nursery:
        client = YamuxChannel(near, client=True)
        await nursery.start(client.run)

        async def open_one() -> None:
            opened.append(await client.open_stream())

        async def open_too_late() -> None:
            with pytest.raises(Unreachable, match="has ended"):
                await client.open_stream()

        for _ in range(BACKLOG + 2):
            nursery.start_soon(open_one)
        await trio.testing.wait_all_tasks_blocked()
        assert len(opened) == BACKLOG
        await far.send_all(encode(Kind.WINDOW, Flag.ACK, 1, 0))
        await trio.testing.wait_all_tasks_blocked()
        assert len(opened) == BACKLOG + 1
        await far.send_all(encode(Kind.WINDOW, Flag.RST, 3, 0))
        await trio.testing.wait_all_tasks_blocked()
        assert len(opened) == BACKLOG + 2
        nursery.start_soon(open_too_late)
        await trio.testing.wait_all_tasks_blocked()
        await far.aclose()


async def test_a_peer_that_breaks_the_protocol_is_told_go_away() -> None:
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        server = YamuxChannel(near, client=False)
        await nursery.start(server.run)
        await far.send_all(encode(Kind.DATA, 0, 9, 1) + b"x")
        await server.wait_ended()
        assert isinstance(server.ended, RemoteProtocolError)
        received = b""
        while data := await far.receive_some():
            received += data
        assert FrameDecoder().feed(received)[-1][::3] == (Kind.GO_AWAY, GoAway.PROTOCOL)


async def test_a_reset_tells_both_directions(autojump_clock: trio.testing.MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        client = YamuxChannel(near, client=True)
        await nursery.start(client.run)
        stream = await client.open_stream()

        async def read() -> None:
            with pytest.raises(trio.BrokenResourceError, match="reset"):
                await stream.receive_some()

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        await far.send_all(encode(Kind.WINDOW, Flag.RST, 1, 0))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BrokenResourceError, match="reset"):
            await stream.send_all(b"x")
        nursery.cancel_scope.cancel()


async def _echo(stream: trio.abc.Stream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


async def test_one_serial_channel_is_many_connections() -> None:
    """A real pseudo terminal: the guest has the device, the host its other end."""
    near, far = os.openpty()
    tty.setraw(near)
    path = os.ttyname(far)

    async def dial_channel() -> trio.abc.Stream:
        return await serial_dialer(path)()

    async def use(dial_stream: Dialer, number: int) -> None:
        said = bytes([number]) * 50_000
        async with await dial_stream() as stream, trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, said)
            got = b""
            while len(got) < len(said):
                got += await stream.receive_some()
            assert got == said

    try:
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve_yamux, trio.lowlevel.FdStream(near), _echo)
                async with open_yamux_dialer(dial_channel) as dial, trio.open_nursery() as users:
                    for number in range(4):
                        users.start_soon(use, dial, number)
                nursery.cancel_scope.cancel()
    finally:
        os.close(far)


async def test_a_channel_is_dialled_again_when_it_has_ended(autojump_clock: trio.testing.MockClock) -> None:
    dialled: list[trio.abc.Stream] = []
    async with trio.open_nursery() as nursery:

        async def dial_channel() -> trio.abc.Stream:
            near, far = trio.testing.memory_stream_pair()
            dialled.append(far)
            nursery.start_soon(serve_yamux, far, _echo)
            return near

        async with open_yamux_dialer(dial_channel) as dial:
            for _ in range(2):
                async with await dial_with_backoff(dial, seconds=5) as stream:
                    await stream.send_all(b"x")
                    assert await stream.receive_some() == b"x"
                    await dialled[-1].aclose()
                    with pytest.raises(trio.BrokenResourceError):
                        await stream.receive_some()
        assert len(dialled) == 2
        nursery.cancel_scope.cancel()


async def test_a_channel_with_nobody_behind_it_is_told_in_a_second(autojump_clock: trio.testing.MockClock) -> None:
    near, _far = trio.testing.memory_stream_pair()

    async def dial_channel() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return near

    async with open_yamux_dialer(dial_channel) as dial:
        began = trio.current_time()
        with pytest.raises(Unreachable, match="nobody answered a yamux ping for 1 s"):
            await dial()
        assert trio.current_time() - began == pytest.approx(1)
