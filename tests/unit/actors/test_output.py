"""One output stream between the agent and its readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from actors.container.output import Output
from actors.errors import Busy

if TYPE_CHECKING:
    from trio.testing import MockClock


async def everything(output: Output, limit: int = 1 << 20) -> list[tuple[int, bytes, int]]:
    parts: list[tuple[int, bytes, int]] = []
    while (part := await output.front(limit)) is not None:
        output.passed_on(part)
        parts.append((part.offset, part.data, part.gap))
    return parts


async def test_bytes_come_in_order_with_their_offsets(autojump_clock: MockClock) -> None:
    output = Output(100)
    output.append(b"abc")
    output.append(b"defg")
    output.end()
    assert await everything(output, limit=2) == [(0, b"ab", 0), (2, b"c", 0), (3, b"de", 0), (5, b"fg", 0)]


async def test_with_no_reader_the_newest_bytes_stay_and_the_gap_is_told_once(autojump_clock: MockClock) -> None:
    output = Output(4)
    output.append(b"abc")
    output.append(b"def")
    output.append(b"g")
    output.end()
    assert await everything(output) == [(3, b"def", 3), (6, b"g", 0)]


async def test_one_chunk_larger_than_the_bound_keeps_its_tail(autojump_clock: MockClock) -> None:
    output = Output(4)
    output.append(b"0123456789")
    output.end()
    assert await everything(output) == [(6, b"6789", 6)]


async def test_with_a_reader_nothing_is_dropped_and_the_writer_waits(autojump_clock: MockClock) -> None:
    output = Output(4)
    output.attach()
    written: list[bytes] = []

    async def write() -> None:
        for chunk in (b"abcd", b"efgh", b"ijkl"):
            await output.room()
            output.append(chunk)
            written.append(chunk)
        output.end()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        assert written == [b"abcd"]
        assert b"".join(data for _, data, _ in await everything(output)) == b"abcdefghijkl"


async def test_a_second_reader_is_refused_until_the_first_has_left(autojump_clock: MockClock) -> None:
    output = Output(4)
    output.attach()
    with pytest.raises(Busy):
        output.attach()
    output.detach()
    output.attach()


async def test_a_waiting_writer_goes_on_when_the_reader_leaves(autojump_clock: MockClock) -> None:
    output = Output(2)
    output.attach()
    output.append(b"ab")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(output.room)
        await trio.testing.wait_all_tasks_blocked()
        output.detach()


async def test_a_lost_reply_is_a_gap(autojump_clock: MockClock) -> None:
    output = Output(10)
    output.append(b"ab")
    part = await output.front(10)
    assert part is not None
    assert part == (0, b"ab", 0)
    output.passed_on(part)
    output.lost_reply()
    output.append(b"yz")
    assert await output.front(10) == (2, b"yz", 1)


async def test_what_was_not_passed_on_is_there_for_the_next_reader_with_its_gap(autojump_clock: MockClock) -> None:
    output = Output(4)
    output.append(b"abcdef")
    output.attach()
    assert await output.front(3) == (2, b"cde", 2)
    output.detach()
    output.end()
    assert await everything(output) == [(2, b"cdef", 2)]


async def test_a_reply_that_was_lost_as_the_last_one_is_told_once(autojump_clock: MockClock) -> None:
    output = Output(10)
    output.append(b"ab")
    output.lost_reply()
    output.lost_reply()
    output.end()
    assert await everything(output) == [(0, b"ab", 2)]
    output = Output(10)
    output.append(b"ab")
    first = await output.front(10)
    assert first is not None
    assert first == (0, b"ab", 0)
    output.passed_on(first)
    output.lost_reply()
    output.end()
    assert await everything(output) == [(2, b"", 1)]
    assert await output.front(10) is None


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=30), st.integers(1, 20), st.integers(1, 7))
def test_what_is_read_is_a_suffix_with_the_right_offset(chunks: list[bytes], bound: int, limit: int) -> None:
    output = Output(bound)
    for chunk in chunks:
        output.append(chunk)
    output.end()
    parts: list[tuple[int, bytes, int]] = []

    async def read() -> None:
        parts.extend(await everything(output, limit))

    trio.run(read)
    whole = b"".join(chunks)
    read_bytes = b"".join(data for _, data, _ in parts)
    assert whole.endswith(read_bytes)
    assert len(read_bytes) == min(len(whole), bound)
    assert sum(gap for _, _, gap in parts) == len(whole) - len(read_bytes)
    for offset, data, _ in parts:
        assert whole[offset : offset + len(data)] == data
