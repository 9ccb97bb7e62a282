"""Cancels, deaths and links of clients and servers, in virtual time."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.errors import (
    AgentUnreachable,
    Busy,
    CallerCancelled,
    NotFound,
    OutcomeUnknown,
)
from actors.limits import DEFAULT_LIMITS
from actors.mailbox import Client, Request, open_client
from actors.mailbox.link import Link
from actors.mailbox.pending import PendingAsk
from actors.wire.codec import decode_value, encode
from actors.wire.envelope import (
    VERSIONS,
    Goodbye,
    Hello,
    Reply,
    Welcome,
)
from tests.support.foreign import packb
from tests.support.office import SERVER, Peer, an_ask, an_office, ask_and_keep, asking, failure_code
from transports.errors import EndpointBroken, EndpointSilent
from transports.memory import MemoryTransport

if TYPE_CHECKING:
    from trio.testing import MockClock

    from transports.errors import TransportError


# cancels and deaths


async def test_a_cancel_reaches_the_handler_at_once_and_its_answer_is_kept_not_sent(autojump_clock: MockClock) -> None:
    async with asking() as (office, client):
        told: list[str] = []
        results: list[object] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_and_keep, client, results)
            request = await office.inbox.receive()
            request.on_cancel(lambda: told.append("cancelled"))
            nursery.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert told == ["cancelled"]
        request.answer()
        request.fail(NotFound("a second answer"))
        assert (office.server.counters.unwanted_answers, office.server.counters.late_answers) == (1, 1)
        request.on_cancel(lambda: told.append("at once"))
        assert told == ["cancelled", "at once"]


async def test_a_cancel_of_an_ask_that_nobody_took_up_takes_it_out_of_the_queue(autojump_clock: MockClock) -> None:
    async with asking() as (office, client):
        with trio.move_on_after(1):
            await client.ask("box", "work", {}, dict)
        await trio.testing.wait_all_tasks_blocked()
        assert len(office.inbox) == 0


async def test_asks_that_were_given_up_keep_no_place(autojump_clock: MockClock) -> None:
    async with asking(replace(DEFAULT_LIMITS, asks_in_flight=2)) as (office, client):

        async def serve() -> None:
            while True:
                request = await office.inbox.receive()
                if request.verb == "wait":
                    # work that changes nothing stops when it is told
                    request.on_cancel(partial(request.fail, CallerCancelled("told")))
                else:
                    request.answer({"verb": request.verb})

        office.nursery.start_soon(serve)
        for _ in range(600):
            with trio.move_on_after(0.001):
                await client.ask("box", "wait", {}, dict, timeout=None)
        assert await client.ask("box", "work", {}, dict, timeout=1) == {"verb": "work"}
        assert office.server.counters.unwanted_answers == 600


async def test_an_answer_that_crosses_its_askers_cancel_is_counted_and_dropped(autojump_clock: MockClock) -> None:
    async with asking() as (office, client):
        results: list[object] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_and_keep, client, results)
            request = await office.inbox.receive()
            request.answer({"for": "the first"})
            nursery.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert (client.late, results) == (1, [])
        office.nursery.start_soon(office.answer_all)
        assert await client.ask("box", "work", {}, dict) == {"verb": "work"}


async def test_a_server_that_dies_ends_a_hundred_asks_at_once_and_later_ones_get_a_new_link(
    autojump_clock: MockClock,
) -> None:
    transport = MemoryTransport()
    results: list[object] = []
    async with trio.open_nursery() as nursery:
        async with an_office(transport) as office:
            client = Client(transport, SERVER, client_id="c", epoch=1)
            await nursery.start(client.run)
            for _ in range(100):
                nursery.start_soon(ask_and_keep, client, results)
            await trio.testing.wait_all_tasks_blocked()
            assert len(office.inbox) == 100
            began = trio.current_time()
        await trio.testing.wait_all_tasks_blocked()
        assert results == [OutcomeUnknown] * 100
        assert trio.current_time() == began
        with pytest.raises(AgentUnreachable) as unreachable:
            await client.ask("box", "work", {}, dict, timeout=1)
        assert unreachable.value.details == {"address": SERVER}, "no server, rather than a sandbox without its agent"
        async with an_office(transport) as office:
            office.nursery.start_soon(office.answer_all)
            assert await client.ask("box", "work", {}, dict) == {"verb": "work"}
        await client.aclose()


async def test_a_client_that_dies_has_its_asks_told_and_its_answers_kept(autojump_clock: MockClock) -> None:
    async with an_office() as office:
        async with trio.open_nursery() as dying:
            peer = Peer()
            peer.endpoint = await dying.start(office.transport.connect, SERVER, peer)
            await peer.say(Hello(VERSIONS, "hand", 1, 1), *(an_ask(counter) for counter in range(1, 101)))
            taken: list[Request] = [await office.inbox.receive() for _ in range(50)]
            told: list[int] = []
            for request in taken:
                request.on_cancel(partial(told.append, request.id[2]))
            dying.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert told == [request.id[2] for request in taken]
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
            peer.endpoint = await office.nursery.start(office.transport.connect, SERVER, peer)
            await peer.endpoint.send(message)
            await trio.testing.wait_all_tasks_blocked()
            (goodbye,) = peer.envelopes
            assert isinstance(goodbye, Goodbye)
            assert goodbye.code == "protocol_error"
            assert peer.ended
        assert office.server.counters.kicked_links == 3


async def test_server_and_client_agree_on_the_highest_version_that_both_speak(autojump_clock: MockClock) -> None:
    async with an_office() as office:
        peer = await office.stranger()
        (welcome,) = await peer.say(Hello((99, 1, 0), "hand", 1, 1))
        assert isinstance(welcome, Welcome)
        assert welcome.version == 1


@pytest.mark.parametrize(
    "hello",
    [encode(Hello((99, 98), "hand", 1, 1)), packb(["hello", [99, 98], "another shape"])],
    ids=["as ours", "of another shape"],
)
async def test_versions_that_the_server_does_not_speak_are_refused_with_those_that_it_does(
    hello: bytes, autojump_clock: MockClock
) -> None:
    async with an_office() as office:
        peer = await office.stranger()
        await peer.endpoint.send(hello)
        (goodbye,) = await peer.say()
        assert isinstance(goodbye, Goodbye)
        assert goodbye.code == "unsupported"
        assert "99 98" in goodbye.reason
        assert decode_value(goodbye.details, dict[str, list[int]]) == {"versions": [1]}
        assert peer.ended


async def test_a_server_that_closes_answers_first_then_says_goodbye_and_lets_nobody_in(
    autojump_clock: MockClock,
) -> None:
    async with an_office() as office:
        peer = await office.peer()
        await peer.say(an_ask(1))
        request = await office.inbox.receive()
        late = await office.stranger()
        del peer.envelopes[:]
        request.answer({"n": 1})
        await office.server.aclose()
        await trio.testing.wait_all_tasks_blocked()
        reply, goodbye = peer.envelopes
        assert isinstance(reply, Reply)
        assert isinstance(goodbye, Goodbye)
        assert goodbye.code == ""
        assert peer.ended
        assert late.ended
        newcomer = await office.stranger()
        (refusal,) = await newcomer.say(Hello(VERSIONS, "new", 1, 1))
        assert isinstance(refusal, Goodbye)
        assert refusal.code == "agent_unreachable"
        assert newcomer.ended


async def test_a_client_that_is_refused_says_so_with_the_servers_own_code(autojump_clock: MockClock) -> None:
    async with an_office() as office:
        async with open_client(office.transport, SERVER, client_id="c", epoch=1):
            with pytest.raises(Busy, match="already"):
                async with open_client(office.transport, SERVER, client_id="c", epoch=1):
                    pytest.fail("two links of one client")
        async with open_client(office.transport, SERVER, client_id="c", epoch=2):
            pass
        with pytest.raises(Busy, match="later epoch"):
            async with open_client(office.transport, SERVER, client_id="c", epoch=1):
                pytest.fail("a start that another one followed")


async def test_a_client_that_closes_tells_those_who_wait_for_a_link(autojump_clock: MockClock) -> None:
    transport = MemoryTransport()
    results: list[object] = []
    async with trio.open_nursery() as nursery:
        async with an_office(transport):
            client = Client(transport, SERVER, client_id="c", epoch=1)
            await nursery.start(client.run)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(3):
            nursery.start_soon(ask_and_keep, client, results)
        await trio.sleep(100)
        assert results == [], "they may wait as long as they like"
        await client.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert results == [AgentUnreachable] * 3


async def test_a_link_comes_back_and_everybody_who_waited_for_it_asks(autojump_clock: MockClock) -> None:
    transport = MemoryTransport()
    results: list[object] = []
    async with trio.open_nursery() as nursery:
        async with an_office(transport):
            client = Client(transport, SERVER, client_id="c", epoch=1)
            await nursery.start(client.run)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(7):
            nursery.start_soon(ask_and_keep, client, results)
        await trio.sleep(10)
        async with an_office(transport, limits=replace(DEFAULT_LIMITS, asks_in_flight=3)) as office:
            await trio.sleep(5)
            assert len(office.inbox) == 3, "as many as may be in flight, before anything is answered"
            office.nursery.start_soon(office.answer_all)
            await trio.sleep(5)
            assert results == [{"verb": "work"}] * 7
        await client.aclose()


@pytest.mark.parametrize(
    ("cause", "reason", "link"),
    [
        (None, "the link was closed", "closed"),
        (EndpointBroken("it broke"), "it broke", "broken"),
        (EndpointSilent("it says nothing"), "it says nothing", "silent"),
    ],
)
async def test_an_ask_that_its_link_took_along_says_how_the_link_ended(
    cause: TransportError | None, reason: str, link: str, autojump_clock: MockClock
) -> None:
    ask = PendingAsk(7, "work")
    pending = {7: ask}
    ended = Link(pending, count_late=lambda: None, close_soon=lambda _: None)
    ended.gone(cause)
    assert pending == {}
    assert ended.ended.is_set()
    with pytest.raises(OutcomeUnknown) as caught:
        await ask.wait()
    assert caught.value.message == f"work was sent, then: {reason}"
    assert caught.value.details == {"counter": 7, "link": link}
