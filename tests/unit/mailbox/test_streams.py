"""Streams and events between a client and a server, in virtual time. One test is over nng."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.errors import (
    CallerCancelled,
    NotFound,
)
from actors.limits import DEFAULT_LIMITS
from actors.mailbox import open_client
from actors.wire.codec import decode_value
from actors.wire.envelope import (
    CHUNK_COST,
    Cancel,
    Chunk,
    Credit,
    Goodbye,
    Reply,
)
from transports.nng import NngTransport

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


from tests.support.office import an_ask, an_office, ask_and_keep, asking

# streams


async def test_a_stream_waits_for_its_reader_and_arrives_whole(autojump_clock: MockClock) -> None:
    data = bytes(range(256)) * 4000
    async with asking() as (office, client):
        pushed: list[int] = []

        async def serve() -> None:
            request = await office.inbox.receive()
            assert request.is_stream
            for offset in range(0, len(data), 10_000):
                await request.push(data[offset : offset + 10_000], offset=offset)
                pushed.append(offset)
            request.answer()

        office.nursery.start_soon(serve)
        async with client.open_stream("box", "read", {}, window_bytes=64 * 1024) as stream:
            await trio.testing.wait_all_tasks_blocked()
            assert 0 < len(pushed) * 10_000 <= 64 * 1024, "no more than the window is sent ahead"
            got = b""
            async for part in stream:
                assert part.offset == len(got)
                got += part.data
        assert got == data


@pytest.mark.parametrize("size", [0, 1, 1000])
async def test_what_is_sent_ahead_of_a_reader_is_its_window_with_what_each_part_costs(
    size: int, autojump_clock: MockClock
) -> None:
    window = 8192
    async with an_office() as office:
        peer = await office.peer()
        await peer.say(an_ask(1, window=window))
        request = await office.inbox.receive()

        async def push() -> None:
            for number in itertools.count():
                await request.push(bytes(size), offset=number * size)

        office.nursery.start_soon(push)
        assert len(await peer.say()) == window // (CHUNK_COST + size)
        # and as much again as it says that it took
        assert len(await peer.say(Credit(1, 3 * (CHUNK_COST + size)))) == 3


async def test_a_reader_that_leaves_stops_the_pusher(autojump_clock: MockClock) -> None:
    async with asking() as (office, client):
        stopped = trio.Event()

        async def serve() -> None:
            request = await office.inbox.receive()
            try:
                while True:
                    await request.push(bytes(1000), offset=0)
            except CallerCancelled:
                stopped.set()

        office.nursery.start_soon(serve)
        async with client.open_stream("box", "read", {}) as stream:
            async for _ in stream:
                break
        with trio.fail_after(1):
            await stopped.wait()


async def test_credit_for_what_was_never_sent_ends_the_link(autojump_clock: MockClock) -> None:
    async with an_office() as office:
        peer = await office.peer()
        await peer.say(an_ask(1, window=8192))
        request = await office.inbox.receive()
        await request.push(b"abc", offset=0)
        (chunk,) = await peer.say()
        assert isinstance(chunk, Chunk)
        (goodbye,) = await peer.say(Credit(1, 1000))
        assert isinstance(goodbye, Goodbye)
        assert peer.ended


async def test_a_subscriber_that_does_not_keep_up_loses_the_oldest_and_is_told_how_many(
    autojump_clock: MockClock,
) -> None:
    limits = replace(DEFAULT_LIMITS, event_backlog_bytes=10 * (CHUNK_COST + 10))
    async with (
        asking(limits) as (office, client),
        client.open_events("box", "watch", {}, window_bytes=4096) as events,
    ):
        request = await office.inbox.receive()
        for number in range(200):
            request.offer({"n": number})
        seen: list[int] = []
        lost = 0
        while not seen or seen[-1] < 199:
            part = await anext(events)
            lost += part.lost
            seen.append(decode_value(part.value, dict[str, int])["n"])
            assert part.number == seen[-1] == len(seen) - 1 + lost, "a gap is told with the first event after it"
        assert lost > 100
        request.offer({"n": 200})
        assert (await anext(events)).lost == 0
        request.answer()
        with pytest.raises(StopAsyncIteration):
            await anext(events)
        request.offer({"n": 201})


async def test_over_nng_five_hundred_asks_at_once_are_all_answered(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir(mode=0o700)
    address = f"ipc://{tmp_path}/own/server"
    async with (
        an_office(NngTransport(), address) as office,
        open_client(NngTransport(), address, client_id="c", epoch=1) as client,
    ):
        results: list[object] = []
        async with trio.open_nursery() as nursery:
            office.nursery.start_soon(office.answer_all)
            for _ in range(500):
                nursery.start_soon(ask_and_keep, client, results)
        assert results == [{"verb": "work"}] * 500
        with pytest.raises(NotFound):
            await client.ask("nobody", "work", {}, dict)


async def test_a_push_in_pieces_tells_its_gap_once_and_each_piece_where_it_stands(autojump_clock: MockClock) -> None:
    window = 8192
    piece = window // 2 - CHUNK_COST
    data = bytes(range(250)) * (2 * piece // 250 + 1)
    async with asking() as (office, client):

        async def serve() -> None:
            request = await office.inbox.receive()
            await request.push(data, offset=100, gap=30)
            end = 100 + len(data)
            await request.push(b"end", offset=end + 7, gap=7)
            # a gap that nothing came after
            await request.push(b"", offset=end + 12, gap=2)
            request.answer()

        office.nursery.start_soon(serve)
        async with client.open_stream("box", "read", {}, window_bytes=window) as stream:
            parts = [part async for part in stream]
    assert [(part.offset, len(part.data), part.gap) for part in parts] == [
        (100, piece, 30),
        (100 + piece, piece, 0),
        (100 + 2 * piece, len(data) - 2 * piece, 0),
        (107 + len(data), 3, 7),
        (112 + len(data), 0, 2),
    ]
    assert b"".join(part.data for part in parts) == data + b"end"


async def test_nothing_is_offered_after_the_end_of_a_subscription(autojump_clock: MockClock) -> None:
    async with an_office() as office:
        peer = await office.peer()
        await peer.say(an_ask(1, window=8192), an_ask(2, window=8192))
        answered, given_up = [await office.inbox.receive() for _ in range(2)]
        answered.answer()
        assert [type(envelope) for envelope in await peer.say(Cancel(2))] == [Reply]
        for request in (answered, given_up):
            request.offer({"n": 1})
        assert await peer.say() == []


@pytest.mark.parametrize("how", ["answered by another task", "given up", "its link ends"])
async def test_a_push_that_waits_for_its_reader_ends_with_the_stream(how: str, autojump_clock: MockClock) -> None:
    ended: list[str] = []
    async with an_office() as office, trio.open_nursery() as nursery:
        peer = await office.peer()
        await peer.say(an_ask(1, window=4096))
        request = await office.inbox.receive()

        async def push() -> None:
            with pytest.raises(CallerCancelled):
                await request.push(bytes(8192), offset=0)
            ended.append(how)

        nursery.start_soon(push)
        await trio.testing.wait_all_tasks_blocked()
        assert ended == []
        match how:
            case "given up":
                await peer.say(Cancel(1))
            case "its link ends":
                await peer.endpoint.aclose()
            case _:
                request.answer()
        await trio.testing.wait_all_tasks_blocked()
        assert ended == [how]


async def test_an_event_too_large_for_its_reader_ever_to_take_is_told_as_lost(autojump_clock: MockClock) -> None:
    async with asking() as (office, client), client.open_events("box", "watch", {}, window_bytes=4096) as events:
        request = await office.inbox.receive()
        for value in ({"n": 0}, {"n": "x" * 4096}, {"n": "x" * 2048}, {"n": 3}):
            request.offer(value)
        parts = [await anext(events) for _ in range(2)]
        assert [(part.number, part.lost) for part in parts] == [(0, 0), (3, 2)]
