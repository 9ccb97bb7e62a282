"""Asks between a client and a server, in virtual time: at most once, deadlines, bounds."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.errors import (
    AlreadyExists,
    Busy,
    CallerCancelled,
    Expired,
    InvalidArgument,
    NotFound,
    OutcomeUnknown,
)
from actors.limits import DEFAULT_LIMITS
from actors.mailbox.client import REPEATABLE, WATERMARK_EVERY
from actors.wire.codec import decode_value
from actors.wire.envelope import (
    Ask,
    Reply,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

    from actors.mailbox import Request


from tests.support.office import an_ask, an_office, ask_and_keep, asking, failure_code
from transports.memory import MemoryTransport

# at most once


async def test_an_ask_that_comes_twice_joins_the_one_in_flight(autojump_clock: MockClock) -> None:
    async with an_office() as office:
        peer = await office.peer()
        assert await peer.say(an_ask(1), an_ask(1)) == []
        request = await office.inbox.receive()
        assert len(office.inbox) == 0, "the second one is not a second request"
        request.answer({"n": 1})
        (reply,) = await peer.say()
        assert isinstance(reply, Reply)
        assert decode_value(reply.result, dict[str, int]) == {"n": 1}
        assert office.server.counters.repeated_asks == 1


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


async def test_a_server_that_does_not_know_the_client_refuses_what_another_server_may_have_run(
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
    async with asking() as (office, client):

        async def slow() -> None:
            request = await office.inbox.receive()
            await trio.sleep(5)
            request.answer({"ran": True})

        office.nursery.start_soon(slow)
        with pytest.raises(OutcomeUnknown) as caught:
            await client.ask("box", "work", {}, dict[str, bool], timeout=1)
        await trio.sleep(10)
        repeat = caught.value.details["counter"]
        assert await client.ask("box", "work", {}, dict[str, bool], repeat=repeat) == {"ran": True}
        assert len(office.inbox) == 0


async def test_so_many_unknown_outcomes_can_be_asked_for_again_and_the_oldest_give_way(
    autojump_clock: MockClock,
) -> None:
    async with asking(replace(DEFAULT_LIMITS, inbox_messages=2 * REPEATABLE)) as (office, client):
        unknown: list[int] = []

        async def ask() -> None:
            with pytest.raises(OutcomeUnknown) as caught:
                await client.ask("box", "work", {}, dict, timeout=1)
            unknown.append(caught.value.details["counter"])

        taken: list[Request] = []

        async def take() -> None:
            while True:
                taken.append(await office.inbox.receive())

        office.nursery.start_soon(take)
        async with trio.open_nursery() as nursery:
            for _ in range(REPEATABLE + 1):
                nursery.start_soon(ask)
                # their budgets end one after the other
                await trio.sleep(0.001)
        assert unknown == sorted(unknown)
        for request in taken:
            request.answer({"n": request.id[2]})
        with pytest.raises(InvalidArgument, match="too long ago"):
            await client.ask("box", "work", {}, dict[str, int], repeat=unknown[0])
        for counter in unknown[1:]:
            assert await client.ask("box", "work", {}, dict[str, int], repeat=counter) == {"n": counter}
            with pytest.raises(InvalidArgument, match="no unknown outcome"):
                await client.ask("box", "work", {}, dict[str, int], repeat=counter)


async def test_an_unknown_outcome_is_asked_for_by_one_and_stays_when_that_one_gives_up(
    autojump_clock: MockClock,
) -> None:
    async with asking(replace(DEFAULT_LIMITS, asks_in_flight=1)) as (office, client):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(ask_and_keep, client, [], timeout=1))
            request = await office.inbox.receive()
        repeat = request.id[2]
        again = partial(client.ask, "box", "work", {}, dict[str, int], repeat=repeat)
        with trio.move_on_after(1):
            await again(timeout=None)
        # the one place is taken, three wait for it: one of two that ask for the same is refused, and the last goes on
        request.answer({"n": 1})
        await trio.testing.wait_all_tasks_blocked()
        answers: list[object] = []

        async def ask_again() -> None:
            try:
                answers.append(await again())
            except InvalidArgument as error:
                answers.append(error.details["field"])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_and_keep, client, answers)
            first = await office.inbox.receive()
            for ask in (ask_again, ask_again, partial(ask_and_keep, client, answers)):
                nursery.start_soon(ask)
                await trio.testing.wait_all_tasks_blocked()
            office.nursery.start_soon(office.answer_all)
            first.answer({"n": 0})
        assert answers == [{"n": 0}, {"n": 1}, "repeat", {"verb": "work"}]


async def test_a_stream_that_ends_lets_the_next_ask_go(autojump_clock: MockClock) -> None:
    async with asking(replace(DEFAULT_LIMITS, asks_in_flight=1)) as (office, client):
        results: list[object] = []
        async with trio.open_nursery() as nursery:
            async with client.open_stream("box", "read", {}):
                stream = await office.inbox.receive()
                nursery.start_soon(ask_and_keep, client, results)
                await trio.testing.wait_all_tasks_blocked()
                assert len(office.inbox) == 0
                stream.on_cancel(partial(stream.fail, CallerCancelled("told")))
            (await office.inbox.receive()).answer({"n": 1})
        assert results == [{"n": 1}]


async def test_what_may_still_be_wanted_is_not_forgotten_however_many_asks_come_after_it(
    autojump_clock: MockClock,
) -> None:
    async with asking() as (office, client):
        results: list[object] = []
        unknown: list[int] = []

        async def ask_briefly() -> None:
            with pytest.raises(OutcomeUnknown) as caught:
                await client.ask("box", "work", {}, dict, timeout=1)
            unknown.append(caught.value.details["counter"])

        def floor() -> int:
            return office.server.clients._senders["c"].floor

        async def ask_many() -> None:
            for _ in range(2 * WATERMARK_EVERY):
                await client.ask("box", "work", {}, dict)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_and_keep, client, results)
            first = await office.inbox.receive()
            nursery.start_soon(ask_briefly)
            second = await office.inbox.receive()
            await trio.sleep(5)
            assert unknown == [second.id[2]]
            office.nursery.start_soon(office.answer_all)
            await ask_many()
            assert floor() == first.id[2] == 1, "it is in flight"
            first.answer({"n": 1})
        assert results == [{"n": 1}]
        await ask_many()
        assert floor() == second.id[2], "it may be asked for again"
        second.answer({"n": 2})
        assert await client.ask("box", "work", {}, dict[str, int], repeat=second.id[2]) == {"n": 2}
        before = floor()
        await ask_many()
        assert floor() > before + WATERMARK_EVERY, "nobody wants those any more"


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (an_ask(5, to="nobody"), "not_found"),
        (an_ask(5, budget_ms=0), "expired"),
        (an_ask(4), "unknown"),
        (an_ask(5, window=4095), "invalid_argument"),
        (an_ask(7), "busy"),
    ],
    ids=["no such name", "no time left", "older than what is remembered", "too small a window", "too many in flight"],
)
async def test_what_no_actor_is_shown_is_refused_with_a_reason_and_counted_once(
    ask: Ask, code: str, autojump_clock: MockClock
) -> None:
    async with an_office(limits=replace(DEFAULT_LIMITS, asks_in_flight=2)) as office:
        peer = await office.peer(unused=5)
        if code == "busy":
            await peer.say(an_ask(5, window=4096), an_ask(6))
        waiting = len(office.inbox)
        assert failure_code(await peer.say(ask)) == code
        assert office.server.counters.refused_asks == 1
        assert len(office.inbox) == waiting


# deadlines and bounds


async def test_an_ask_that_arrives_without_a_budget_left_is_expired(autojump_clock: MockClock) -> None:
    async with an_office() as office:
        peer = await office.peer()
        assert failure_code(await peer.say(an_ask(1, budget_ms=0))) == "expired"
        assert len(office.inbox) == 0


async def test_an_ask_that_is_not_taken_up_in_time_is_expired_and_leaves_the_queue(autojump_clock: MockClock) -> None:
    async with asking() as (office, client):
        began = trio.current_time()
        with pytest.raises(Expired):
            await client.ask("box", "work", {}, dict, timeout=2)
        assert trio.current_time() - began == pytest.approx(2, abs=0.01)
        assert len(office.inbox) == 0


async def test_a_full_mailbox_says_busy_at_the_deadline_and_the_link_lives(autojump_clock: MockClock) -> None:
    async with asking(replace(DEFAULT_LIMITS, inbox_messages=2)) as (_, client):
        results: list[object] = []
        async with trio.open_nursery() as nursery:
            for budget in (1.0, 1.0, 0.5):
                nursery.start_soon(partial(ask_and_keep, client, results, timeout=budget))
                await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(NotFound):
                await client.ask("nobody", "work", {}, dict)
        assert results == [Busy, Expired, Expired]


async def test_what_waits_before_a_full_mailbox_is_taken_up_when_there_is_room_in_time(
    autojump_clock: MockClock,
) -> None:
    async with asking(replace(DEFAULT_LIMITS, inbox_messages=2)) as (office, client):
        results: list[object] = []
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(partial(ask_and_keep, client, results, timeout=10))
            await trio.sleep(9)
            office.nursery.start_soon(office.answer_all)
        assert results == [{"verb": "work"}] * 6


async def test_what_one_client_asks_arrives_in_order_however_it_waits(autojump_clock: MockClock) -> None:
    async with asking(replace(DEFAULT_LIMITS, inbox_messages=3, asks_in_flight=10)) as (office, client):
        seen: list[int] = []

        async def serve() -> None:
            while True:
                request = await office.inbox.receive()
                seen.append(request.decode(dict[str, int])["n"])
                if len(seen) % 7 == 0:
                    await trio.sleep(0.1)
                request.answer({"n": seen[-1]})

        async def ask(number: int) -> None:
            assert await client.ask("box", "work", {"n": number}, dict[str, int]) == {"n": number}

        office.nursery.start_soon(serve)
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(ask, number)
                # those that wait for their turn at the client are tasks: they start in the order of their start
                await trio.testing.wait_all_tasks_blocked()
        assert seen == list(range(200))


async def test_a_client_over_its_asks_in_flight_is_refused_and_a_client_waits_its_turn(
    autojump_clock: MockClock,
) -> None:
    async with asking(replace(DEFAULT_LIMITS, asks_in_flight=2)) as (office, client):
        peer = await office.peer()
        assert failure_code(await peer.say(an_ask(1), an_ask(2), an_ask(3))) == "busy"
        results: list[object] = []
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask_and_keep, client, results)
            await trio.testing.wait_all_tasks_blocked()
            assert len(office.inbox) == 4, "two of each"
            office.nursery.start_soon(office.answer_all)
        assert results == [{"verb": "work"}] * 10


@pytest.mark.parametrize("gone", [(0,), (1,), (0, 1), (0, 2), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("woken", [False, True], ids=["waiting", "just told to go on"])
async def test_who_gives_up_its_turn_holds_up_nobody_and_the_others_keep_their_order(
    gone: tuple[int, ...], woken: bool, autojump_clock: MockClock
) -> None:
    async with asking(replace(DEFAULT_LIMITS, asks_in_flight=1)) as (office, client):
        scopes = [trio.CancelScope() for _ in range(5)]
        answered: list[int] = []

        async def ask(number: int) -> None:
            with scopes[number]:
                await client.ask("box", "work", {}, dict)
                answered.append(number)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.ask, "box", "work", {}, dict)
            await trio.testing.wait_all_tasks_blocked()
            for number in range(5):
                nursery.start_soon(ask, number)
                await trio.testing.wait_all_tasks_blocked()
            held = await office.inbox.receive()
            held.answer()
            if woken:
                # until the answer has woken its asker, and that the first in line
                while not client._line.statistics().tasks_waiting < 5 and client._first:  # pyright: ignore[reportPrivateUsage]
                    await trio.lowlevel.checkpoint()
            for number in gone:
                scopes[number].cancel()
            office.nursery.start_soon(office.answer_all)
        assert answered == [number for number in range(5) if number not in gone]
        assert await client.ask("box", "work", {}, dict) == {"verb": "work"}, "the line is empty again"


async def test_arguments_over_the_limit_are_refused_before_they_are_sent(autojump_clock: MockClock) -> None:
    async with asking() as (office, client):
        with pytest.raises(InvalidArgument, match="arguments"):
            await client.ask("box", "work", {"data": bytes(70_000)}, dict)
        assert len(office.inbox) == 0


async def test_a_name_that_goes_away_answers_its_request_not_found(autojump_clock: MockClock) -> None:
    async with asking() as (office, client):
        with pytest.raises(AlreadyExists):
            office.server.register("box")
        async with trio.open_nursery() as nursery:

            async def expect_not_found() -> None:
                with pytest.raises(NotFound):
                    await client.ask("box", "work", {}, dict)

            nursery.start_soon(expect_not_found)
            await trio.testing.wait_all_tasks_blocked()
            office.server.unregister("box")
        await expect_not_found()


async def test_answers_that_a_full_link_does_not_take_follow_in_their_order(autojump_clock: MockClock) -> None:
    async with an_office(MemoryTransport(queue_messages=2)) as office:
        peer = await office.peer()
        await peer.say(*(an_ask(counter) for counter in range(1, 11)))
        for request in [await office.inbox.receive() for _ in range(10)]:
            request.answer()
        answers = await peer.say()
        assert [answer.counter for answer in answers if isinstance(answer, Reply)] == list(range(1, 11))
