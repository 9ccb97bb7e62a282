"""Asks, streams and events between a courier and a hub, over the in-memory transport in virtual time.

A peer made by hand takes the courier's place where the envelopes themselves matter. One test is over nng.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from actors.errors import (
    AgentUnreachable,
    AlreadyExists,
    Busy,
    CallerCancelled,
    Expired,
    InvalidArgument,
    NotFound,
    OutcomeUnknown,
)
from actors.limits import DEFAULT_LIMITS, Limits
from actors.mailbox import Courier, Hub, Inbox, Mail, open_courier
from actors.wire.codec import decode_envelope, decode_value, encode, encode_raw
from actors.wire.envelope import (
    CHUNK_COST,
    PROTOCOL_VERSION,
    Ask,
    Chunk,
    Credit,
    Envelope,
    Failure,
    Goodbye,
    Hello,
    Reply,
    Welcome,
)
from transports.errors import Unreachable
from transports.memory import MemoryTransport
from transports.nng import NngTransport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from trio.testing import MockClock

    from transports.base import Endpoint, Transport
    from transports.errors import TransportError

HUB = "memory://hub"


class Peer:
    """A client made by hand: sends what it likes, keeps what it gets."""

    endpoint: Endpoint

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.ended = False

    def received(self, message: bytes) -> None:
        self.envelopes.append(decode_envelope(message))

    def gone(self, cause: TransportError | None) -> None:
        self.ended = True

    async def say(self, *envelopes: Envelope) -> list[Envelope]:
        """Send these; what came back by the time nothing moves any more."""
        del self.envelopes[:]
        for envelope in envelopes:
            await self.endpoint.send(encode(envelope))
        await trio.testing.wait_all_tasks_blocked()
        return self.envelopes


class Office:
    """A hub that is served, and what the actor `box` was sent."""

    def __init__(self, transport: Transport, address: str, nursery: trio.Nursery, limits: Limits) -> None:
        self.transport, self.address, self.nursery = transport, address, nursery
        self.hub = Hub(limits=limits)
        self.inbox: Inbox = self.hub.register("box")

    async def peer(self, client: str = "hand", *, epoch: int = 1, unused: int = 1) -> Peer:
        peer = Peer()
        peer.endpoint = await self.nursery.start(self.transport.connect, self.address, peer)
        await peer.say(Hello(PROTOCOL_VERSION, client, epoch, unused))
        return peer

    async def answer_all(self) -> None:
        while True:
            mail = await self.inbox.receive()
            mail.answer({"verb": mail.verb})


@asynccontextmanager
async def an_office(
    transport: Transport | None = None, address: str = HUB, limits: Limits = DEFAULT_LIMITS
) -> AsyncGenerator[Office]:
    transport = transport or MemoryTransport()
    async with trio.open_nursery() as nursery:
        office = Office(transport, address, nursery, limits)
        await nursery.start(office.hub.run)
        await nursery.start(transport.serve, address, office.hub.accept)
        yield office
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def asking(limits: Limits = DEFAULT_LIMITS) -> AsyncGenerator[tuple[Office, Courier]]:
    async with an_office(limits=limits) as office, open_courier(office.transport, HUB, client="c", epoch=1) as courier:
        yield office, courier


def an_ask(counter: int, *, budget_ms: int | None = None, watermark: int = 1, window: int = 0, to: str = "box") -> Ask:
    return Ask(counter, to, "work", encode_raw({}), budget_ms, watermark, window)


def failure_code(envelopes: list[Envelope]) -> str:
    (failure,) = envelopes
    assert isinstance(failure, Failure)
    return failure.code


async def ask_and_keep(courier: Courier, results: list[object], *, budget: float | None = None) -> None:
    try:
        results.append(await courier.ask("box", "work", {}, dict[str, Any], budget=budget))
    except (AgentUnreachable, Busy, Expired, OutcomeUnknown) as error:
        results.append(type(error))


# at most once


async def test_an_ask_that_comes_twice_joins_the_one_in_flight(autojump_clock: MockClock) -> None:
    async with an_office() as office:
        peer = await office.peer()
        assert await peer.say(an_ask(1), an_ask(1)) == []
        mail = await office.inbox.receive()
        assert len(office.inbox) == 0, "the second one is not a second mail"
        mail.answer({"n": 1})
        (reply,) = await peer.say()
        assert isinstance(reply, Reply)
        assert decode_value(reply.result, dict[str, int]) == {"n": 1}
        assert office.hub.counters.repeated_asks == 1


async def test_a_finished_ask_is_answered_from_what_is_kept_even_on_another_link(autojump_clock: MockClock) -> None:
    async with an_office() as office:
        peer = await office.peer()
        await peer.say(an_ask(1))
        (await office.inbox.receive()).answer({"n": 1})
        first = [*await peer.say()]
        assert await peer.say(an_ask(1)) == first
        await peer.endpoint.aclose()
        again = await office.peer(unused=2)
        assert await again.say(an_ask(1)) == first
        assert len(office.inbox) == 0


async def test_an_ask_below_the_watermark_is_unknown_and_not_run(autojump_clock: MockClock) -> None:
    async with an_office() as office:
        peer = await office.peer()
        for counter in (1, 2):
            await peer.say(an_ask(counter))
            (await office.inbox.receive()).answer()
        await peer.say(an_ask(3, watermark=3))
        assert failure_code(await peer.say(an_ask(2))) == "unknown"
        assert len(office.inbox) == 1


async def test_a_hub_that_does_not_know_the_client_refuses_what_another_hub_may_have_run(
    autojump_clock: MockClock,
) -> None:
    async with an_office() as office:
        peer = await office.peer(unused=10)
        assert failure_code(await peer.say(an_ask(9))) == "unknown"
        assert await peer.say(an_ask(10)) == []
        assert len(office.inbox) == 1


async def test_kept_answers_are_bounded_and_what_is_forgotten_is_unknown(autojump_clock: MockClock) -> None:
    async with an_office(limits=replace(DEFAULT_LIMITS, finished_answers=2)) as office:
        peer = await office.peer()
        office.nursery.start_soon(office.answer_all)
        for counter in (1, 2, 3):
            await peer.say(an_ask(counter))
        assert failure_code(await peer.say(an_ask(1))) == "unknown"
        assert isinstance((await peer.say(an_ask(3)))[0], Reply)


async def test_an_outcome_that_was_unknown_can_be_asked_for_again(autojump_clock: MockClock) -> None:
    async with asking() as (office, courier):

        async def slow() -> None:
            mail = await office.inbox.receive()
            await trio.sleep(5)
            mail.answer({"ran": True})

        office.nursery.start_soon(slow)
        with pytest.raises(OutcomeUnknown) as caught:
            await courier.ask("box", "work", {}, dict[str, bool], budget=1)
        await trio.sleep(10)
        repeat = caught.value.details["counter"]
        assert await courier.ask("box", "work", {}, dict[str, bool], repeat=repeat) == {"ran": True}
        assert len(office.inbox) == 0


# deadlines and bounds


async def test_an_ask_that_arrives_without_a_budget_left_is_expired(autojump_clock: MockClock) -> None:
    async with an_office() as office:
        peer = await office.peer()
        assert failure_code(await peer.say(an_ask(1, budget_ms=0))) == "expired"
        assert len(office.inbox) == 0


async def test_an_ask_that_is_not_taken_up_in_time_is_expired_and_leaves_the_queue(autojump_clock: MockClock) -> None:
    async with asking() as (office, courier):
        began = trio.current_time()
        with pytest.raises(Expired):
            await courier.ask("box", "work", {}, dict, budget=2)
        assert trio.current_time() - began == pytest.approx(2, abs=0.01)
        assert len(office.inbox) == 0


async def test_a_full_mailbox_says_busy_at_the_deadline_and_the_link_lives(autojump_clock: MockClock) -> None:
    async with asking(replace(DEFAULT_LIMITS, inbox_messages=2)) as (_, courier):
        results: list[object] = []
        async with trio.open_nursery() as nursery:
            for budget in (1.0, 1.0, 0.5):
                nursery.start_soon(partial(ask_and_keep, courier, results, budget=budget))
                await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(NotFound):
                await courier.ask("nobody", "work", {}, dict)
        assert results == [Busy, Expired, Expired]


async def test_a_client_over_its_asks_in_flight_is_refused_and_a_courier_waits_its_turn(
    autojump_clock: MockClock,
) -> None:
    async with asking(replace(DEFAULT_LIMITS, asks_in_flight=2)) as (office, courier):
        peer = await office.peer()
        assert failure_code(await peer.say(an_ask(1), an_ask(2), an_ask(3))) == "busy"
        results: list[object] = []
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask_and_keep, courier, results)
            await trio.testing.wait_all_tasks_blocked()
            assert len(office.inbox) == 4, "two of each"
            office.nursery.start_soon(office.answer_all)
        assert results == [{"verb": "work"}] * 10


async def test_arguments_over_the_limit_are_refused_before_they_are_sent(autojump_clock: MockClock) -> None:
    async with asking() as (office, courier):
        with pytest.raises(InvalidArgument, match="arguments"):
            await courier.ask("box", "work", {"data": bytes(70_000)}, dict)
        assert len(office.inbox) == 0


async def test_a_name_that_goes_away_answers_its_mail_not_found(autojump_clock: MockClock) -> None:
    async with asking() as (office, courier):
        with pytest.raises(AlreadyExists):
            office.hub.register("box")
        async with trio.open_nursery() as nursery:

            async def expect_not_found() -> None:
                with pytest.raises(NotFound):
                    await courier.ask("box", "work", {}, dict)

            nursery.start_soon(expect_not_found)
            await trio.testing.wait_all_tasks_blocked()
            office.hub.unregister("box")
        await expect_not_found()


# cancels and deaths


async def test_a_cancel_reaches_the_handler_at_once_and_its_answer_is_kept_not_sent(autojump_clock: MockClock) -> None:
    async with asking() as (office, courier):
        told: list[str] = []
        results: list[object] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_and_keep, courier, results)
            mail = await office.inbox.receive()
            mail.on_cancel(lambda: told.append("cancelled"))
            nursery.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert told == ["cancelled"]
        mail.answer()
        mail.fail(NotFound("a second answer"))
        assert (office.hub.counters.unwanted_answers, office.hub.counters.late_answers) == (1, 1)
        mail.on_cancel(lambda: told.append("at once"))
        assert told == ["cancelled", "at once"]


async def test_a_cancel_of_an_ask_that_nobody_took_up_takes_it_out_of_the_queue(autojump_clock: MockClock) -> None:
    async with asking() as (office, courier):
        with trio.move_on_after(1):
            await courier.ask("box", "work", {}, dict)
        await trio.testing.wait_all_tasks_blocked()
        assert len(office.inbox) == 0


async def test_a_hub_that_dies_ends_a_hundred_asks_at_once_and_later_ones_get_a_new_link(
    autojump_clock: MockClock,
) -> None:
    transport = MemoryTransport()
    results: list[object] = []
    async with trio.open_nursery() as nursery:
        async with an_office(transport) as office:
            courier = Courier(transport, HUB, client="c", epoch=1)
            await nursery.start(courier.run)
            for _ in range(100):
                nursery.start_soon(ask_and_keep, courier, results)
            await trio.testing.wait_all_tasks_blocked()
            assert len(office.inbox) == 100
            began = trio.current_time()
        await trio.testing.wait_all_tasks_blocked()
        assert results == [OutcomeUnknown] * 100
        assert trio.current_time() == began
        with pytest.raises(AgentUnreachable):
            await courier.ask("box", "work", {}, dict, budget=1)
        async with an_office(transport) as office:
            office.nursery.start_soon(office.answer_all)
            assert await courier.ask("box", "work", {}, dict) == {"verb": "work"}
        await courier.aclose()


async def test_a_client_that_dies_has_its_asks_told_and_its_answers_kept(autojump_clock: MockClock) -> None:
    async with an_office() as office:
        async with trio.open_nursery() as dying:
            peer = Peer()
            peer.endpoint = await dying.start(office.transport.connect, HUB, peer)
            await peer.say(Hello(PROTOCOL_VERSION, "hand", 1, 1), *(an_ask(counter) for counter in range(1, 101)))
            taken: list[Mail] = [await office.inbox.receive() for _ in range(50)]
            told: list[int] = []
            for mail in taken:
                mail.on_cancel(partial(told.append, mail.id[2]))
            dying.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert told == [mail.id[2] for mail in taken]
        assert len(office.inbox) == 0, "what nobody took up is not run for nobody"
        taken[0].answer({"n": 1})
        again = await office.peer(unused=101)
        assert isinstance((await again.say(an_ask(1)))[0], Reply)
        assert failure_code(await again.say(an_ask(100))) == "cancelled"


# links


async def test_a_link_that_breaks_the_protocol_is_told_why_and_closed(autojump_clock: MockClock) -> None:
    async with an_office() as office:
        for message in (b"\xc1", encode(an_ask(1)), encode(Welcome(1, "x", 1, 1))):
            peer = Peer()
            peer.endpoint = await office.nursery.start(office.transport.connect, HUB, peer)
            await peer.endpoint.send(message)
            await trio.testing.wait_all_tasks_blocked()
            (goodbye,) = peer.envelopes
            assert isinstance(goodbye, Goodbye)
            assert goodbye.code == "protocol_error"
            assert peer.ended
        assert office.hub.counters.kicked_links == 3


async def test_a_version_that_the_hub_does_not_speak_and_a_second_link_are_refused(autojump_clock: MockClock) -> None:
    async with an_office() as office:
        peer = Peer()
        peer.endpoint = await office.nursery.start(office.transport.connect, HUB, peer)
        (goodbye,) = await peer.say(Hello(99, "hand", 1, 1))
        assert isinstance(goodbye, Goodbye)
        assert goodbye.code == "unsupported"
        async with open_courier(office.transport, HUB, client="c", epoch=1):
            with pytest.raises(Unreachable, match="already"):
                async with open_courier(office.transport, HUB, client="c", epoch=1):
                    pytest.fail("two links of one client")


# streams


async def test_a_stream_waits_for_its_reader_and_arrives_whole(autojump_clock: MockClock) -> None:
    data = bytes(range(256)) * 4000
    async with asking() as (office, courier):
        pushed: list[int] = []

        async def serve() -> None:
            mail = await office.inbox.receive()
            assert mail.is_stream
            for offset in range(0, len(data), 10_000):
                await mail.push(data[offset : offset + 10_000], offset=offset)
                pushed.append(offset)
            mail.answer()

        office.nursery.start_soon(serve)
        async with courier.open_stream("box", "read", {}, window_bytes=64 * 1024) as stream:
            await trio.testing.wait_all_tasks_blocked()
            assert 0 < len(pushed) * 10_000 <= 64 * 1024, "no more than the window is sent ahead"
            got = b""
            async for part in stream:
                assert part.offset == len(got)
                got += part.data
        assert got == data


async def test_a_reader_that_leaves_stops_the_pusher(autojump_clock: MockClock) -> None:
    async with asking() as (office, courier):
        stopped = trio.Event()

        async def serve() -> None:
            mail = await office.inbox.receive()
            try:
                while True:
                    await mail.push(bytes(1000), offset=0)
            except CallerCancelled:
                stopped.set()

        office.nursery.start_soon(serve)
        async with courier.open_stream("box", "read", {}) as stream:
            async for _ in stream:
                break
        with trio.fail_after(1):
            await stopped.wait()


async def test_credit_for_what_was_never_sent_ends_the_link(autojump_clock: MockClock) -> None:
    async with an_office() as office:
        peer = await office.peer()
        await peer.say(an_ask(1, window=8192))
        mail = await office.inbox.receive()
        await mail.push(b"abc", offset=0)
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
        asking(limits) as (office, courier),
        courier.open_events("box", "watch", {}, window_bytes=4096) as events,
    ):
        mail = await office.inbox.receive()
        for number in range(200):
            mail.offer({"n": number})
        seen: list[int] = []
        lost = 0
        while not seen or seen[-1] < 199:
            part = await anext(events)
            lost += part.lost
            seen.append(decode_value(part.value, dict[str, int])["n"])
            assert part.number == seen[-1] == len(seen) - 1 + lost, "a gap is told with the first event after it"
        assert lost > 100
        mail.offer({"n": 200})
        assert (await anext(events)).lost == 0
        mail.answer()
        with pytest.raises(StopAsyncIteration):
            await anext(events)
        mail.offer({"n": 201})


async def test_over_nng_five_hundred_asks_at_once_are_all_answered(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir(mode=0o700)
    address = f"ipc://{tmp_path}/own/hub"
    async with (
        an_office(NngTransport(), address) as office,
        open_courier(NngTransport(), address, client="c", epoch=1) as courier,
    ):
        results: list[object] = []
        async with trio.open_nursery() as nursery:
            office.nursery.start_soon(office.answer_all)
            for _ in range(500):
                nursery.start_soon(ask_and_keep, courier, results)
        assert results == [{"verb": "work"}] * 500
        with pytest.raises(NotFound):
            await courier.ask("nobody", "work", {}, dict)
