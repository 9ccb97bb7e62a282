"""What leaves through one endpoint: in order, whoever waits, and bounded. In virtual time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.mailbox.outbox import Outbox
from transports.errors import EndpointBroken, EndpointBusy
from transports.shared_bound import SharedBound

if TYPE_CHECKING:
    from trio.testing import MockClock


class _Narrow:
    """An endpoint that takes so many messages, then waits for its peer to take some."""

    peer = "narrow"

    def __init__(self, room: int) -> None:
        self.room = room
        self.sent: list[bytes] = []
        self.ended = False
        self._changed = trio.lowlevel.ParkingLot()

    def send_nowait(self, message: bytes) -> None:
        if self.ended:
            raise EndpointBroken("gone")
        if not self.room:
            raise EndpointBusy("full")
        self.room -= 1
        self.sent.append(message)

    async def send(self, message: bytes) -> None:
        await trio.lowlevel.checkpoint()
        while True:
            try:
                self.send_nowait(message)
            except EndpointBusy:
                await self._changed.park()
            else:
                return

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()

    def take(self, count: int) -> None:
        self.room += count
        self._changed.unpark_all()

    def end(self) -> None:
        self.ended = True
        self._changed.unpark_all()


class _Way:
    """An outbox over such an endpoint, whose drains run in a nursery unless the test runs them."""

    def __init__(
        self, nursery: trio.Nursery, *, room: int, limit: int = 1000, most: int = 10_000, drains_itself: bool = True
    ) -> None:
        self.endpoint = _Narrow(room)
        self.bound = SharedBound(most)
        self.overflows = 0
        self.drains = 0
        self._nursery = nursery
        self._drains_itself = drains_itself
        self.box = Outbox(
            self.endpoint,
            backlog_bytes=limit,
            account=self.bound.account(),
            drain_soon=self._drain_soon,
            overflow=self._overflow,
        )

    def _drain_soon(self, outbox: Outbox) -> None:
        self.drains += 1
        if self._drains_itself:
            self._nursery.start_soon(outbox.drain)

    def _overflow(self) -> None:
        self.overflows += 1


async def test_what_waits_leaves_first_and_every_sender_behind_it_goes_on(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        way = _Way(nursery, room=1)
        for message in (b"straight", b"waits", b"too"):
            way.box.post(message)
        for number in range(3):
            nursery.start_soon(way.box.send, b"behind %d" % number)
        await trio.testing.wait_all_tasks_blocked()
        assert way.endpoint.sent == [b"straight"]
        way.endpoint.take(2)
        await trio.testing.wait_all_tasks_blocked()
        way.endpoint.take(10)
        await trio.testing.wait_all_tasks_blocked()
        assert way.endpoint.sent[:3] == [b"straight", b"waits", b"too"]
        assert sorted(way.endpoint.sent[3:]) == [b"behind 0", b"behind 1", b"behind 2"]
        # and again: a backlog that is gone is no reason to wait
        await way.box.send(b"last")
        way.box.post(b"really")
        assert way.endpoint.sent[-2:] == [b"last", b"really"]


async def test_who_waits_behind_a_backlog_waits_behind_the_next_one_as_well(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        way = _Way(nursery, room=0, drains_itself=False)
        way.box.post(b"first")
        nursery.start_soon(way.box.send, b"behind")
        await trio.testing.wait_all_tasks_blocked()
        way.endpoint.take(1)
        await way.box.drain()
        # posted before the sender has run again
        way.box.post(b"second")
        way.endpoint.take(2)
        await trio.testing.wait_all_tasks_blocked()
        assert way.endpoint.sent == [b"first"]
        await way.box.drain()
        await trio.testing.wait_all_tasks_blocked()
        assert way.endpoint.sent == [b"first", b"second", b"behind"]


async def test_what_waits_is_on_its_peers_account_until_it_has_left(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        way = _Way(nursery, room=0)
        way.box.post(bytes(10))
        way.box.post(bytes(20))
        assert way.bound.held == 30
        assert way.drains == 1, "one task is enough"
        way.endpoint.take(1)
        await trio.testing.wait_all_tasks_blocked()
        assert way.bound.held == 20
        way.endpoint.take(1)
        await trio.testing.wait_all_tasks_blocked()
        assert way.bound.held == 0
        for _ in range(2):
            way.endpoint.take(1)
            way.box.post(bytes(5))
            way.box.post(bytes(7))
            await trio.testing.wait_all_tasks_blocked()
            assert way.bound.held == 7
            way.endpoint.take(1)
            await trio.testing.wait_all_tasks_blocked()
        assert way.drains == 3
        assert way.bound.held == 0


@pytest.mark.parametrize(
    ("limit", "most", "fits"),
    [(100, 10_000, [60, 40]), (100, 10_000, [100]), (10_000, 100, [50])],
    ids=["its own bound, in parts", "its own bound", "the bound of all: half of it"],
)
async def test_a_peer_that_reads_nothing_is_given_up_once_when_more_waits_than_may(
    limit: int, most: int, fits: list[int], autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        way = _Way(nursery, room=0, limit=limit, most=most)
        for size in fits:
            way.box.post(bytes(size))
        assert way.overflows == 0
        way.box.post(b"x")
        assert way.overflows == 1
        held = way.bound.held
        way.box.post(b"y")
        assert (way.overflows, way.bound.held) == (1, held), "nothing more is kept for it"
        way.endpoint.end()


async def test_a_link_that_ends_drops_what_waits_and_tells_every_sender(autojump_clock: MockClock) -> None:
    ended: deque[int] = deque()
    async with trio.open_nursery() as nursery:
        way = _Way(nursery, room=0)
        way.box.post(bytes(100))

        async def send(number: int) -> None:
            with pytest.raises(EndpointBroken):
                await way.box.send(b"behind")
            ended.append(number)

        for number in range(3):
            nursery.start_soon(send, number)
        await trio.testing.wait_all_tasks_blocked()
        way.endpoint.end()
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(ended) == [0, 1, 2]
        assert way.bound.held == 0
        way.box.post(b"nobody hears it")
        assert way.bound.held == 0
