"""Simulated byte streams: Trio's own check of streams, and that they are bounded, slow and in pieces by the seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.simulation.links import SimulatedStream, stream_pair
from actors.simulation.run import simulate
from actors.simulation.seed import Draws

if TYPE_CHECKING:
    from trio.testing import MockClock

    from actors.simulation.run import Simulation


def note(_name: str, _value: object) -> None: ...


def a_pair(seed: int = 0) -> tuple[SimulatedStream, SimulatedStream]:
    return stream_pair("test", Draws(seed, "links", note), note)


@pytest.mark.parametrize("seed", range(5))
async def test_they_are_streams_as_trio_has_them(seed: int, autojump_clock: MockClock) -> None:
    async def make() -> tuple[SimulatedStream, SimulatedStream]:
        await trio.lowlevel.checkpoint()
        return a_pair(seed)

    async def make_clogged() -> tuple[SimulatedStream, SimulatedStream]:
        left, right = await make()
        for end in (left, right):
            while end.send_nowait(bytes(1 << 20)):
                pass
        return left, right

    await trio.testing.check_two_way_stream(make, make_clogged)


async def test_what_nobody_reads_is_bounded(autojump_clock: MockClock) -> None:
    for seed in range(20):
        left, _ = a_pair(seed)
        sent = left.send_nowait(bytes(1 << 22))
        assert 4 * 1024 <= sent <= 256 * 1024
        assert left.send_nowait(b"x") == 0


async def test_a_small_piece_is_no_copy_of_a_reused_buffer(autojump_clock: MockClock) -> None:
    left, right = a_pair()
    buffer = bytearray(b"first")
    await left.send_all(buffer)
    buffer[:] = b"other"
    assert await right.receive_some() in [b"first"[:n] for n in range(1, 6)]


async def test_a_sender_that_waits_for_room_learns_that_its_end_or_the_other_was_closed(
    autojump_clock: MockClock,
) -> None:
    for closes, error in (("left", trio.ClosedResourceError), ("right", trio.BrokenResourceError)):
        left, right = a_pair()
        async with trio.open_nursery() as nursery:

            async def send(end: SimulatedStream = left, error: type[Exception] = error) -> None:
                with pytest.raises(error):
                    await end.send_all(bytes(1 << 22))

            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            await (left if closes == "left" else right).aclose()


async def _exchange(simulation: Simulation) -> tuple[bytes, list[int], float]:
    host, guest = stream_pair("link", simulation.stream("links"), simulation.trace.data)
    sent = bytes(range(256)) * 2_000
    pieces: list[bytes] = []

    async def send() -> None:
        rest = sent
        while rest:
            await host.send_all(rest[:50_000])
            rest = rest[50_000:]
        await host.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        while piece := await guest.receive_some():
            pieces.append(piece)
    assert b"".join(pieces) == sent
    with pytest.raises(trio.BrokenResourceError):
        guest.send_nowait(b"to nobody")
    return b"".join(pieces), [len(piece) for piece in pieces], trio.current_time()


def test_all_arrives_in_order_in_other_pieces_and_at_other_times_for_each_seed() -> None:
    runs = [simulate(_exchange, seed) for seed in range(30)]
    assert runs == [simulate(_exchange, seed) for seed in range(30)]
    assert len({tuple(run.value[1]) for run in runs}) > 25
    assert len({run.seconds for run in runs}) == 30
    assert all(run.seconds > 0 for run in runs)
