"""What clients make a server hold: bounded for all of them together, and given back. In virtual time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.limits import DEFAULT_LIMITS
from actors.mailbox.clients import Clients
from actors.mailbox.sender import Counters, Sender
from actors.wire.codec import encode, encode_raw
from actors.wire.envelope import VERSIONS, Ask, Cancel, Event, Goodbye, Hello, Reply
from actors.wire.verbs import Nothing
from tests.support.office import an_ask, an_office, failure_code

if TYPE_CHECKING:
    from trio.testing import MockClock

    from actors.mailbox import Request, Server

KIB = 1024
LIMITS = replace(DEFAULT_LIMITS, server_bytes=1024 * KIB)
# so many asks without arguments are half of what such a server holds, and all that one client may have there
FILL = LIMITS.server_bytes // 2 // (LIMITS.ask_bytes + 1) + 1


def held(server: Server) -> int:
    return server.clients._memory.held  # what the tests are about


def a_big_ask(counter: int) -> Ask:
    return Ask(counter, "box", "work", encode_raw({"junk": bytes(60 * KIB)}), None, 1)


async def test_over_the_bound_who_holds_much_is_busy_and_who_holds_little_is_served(autojump_clock: MockClock) -> None:
    async with an_office(limits=LIMITS) as office:
        greedy = await office.peer("greedy")
        assert await greedy.say(*[an_ask(counter) for counter in range(1, FILL + 1)]) == []
        assert failure_code(await greedy.say(an_ask(1000))) == "busy"
        assert not greedy.ended
        modest = await office.peer("modest")
        assert await modest.say(an_ask(1)) == [], "it is taken up"
        assert failure_code(await greedy.say(an_ask(1001))) == "busy"
        # what is answered is given back, but for the answers that are kept
        office.nursery.start_soon(office.answer_all)
        await trio.testing.wait_all_tasks_blocked()
        assert held(office.server) < 16 * KIB
        assert isinstance((await greedy.say(an_ask(1002)))[0], Reply)


async def test_many_greedy_clients_stay_below_the_bound_and_a_newcomer_is_served_at_the_largests_cost(
    autojump_clock: MockClock,
) -> None:
    async with an_office(limits=LIMITS) as office:
        greedy = [await office.peer(f"greedy {number}") for number in range(8)]
        for peer in greedy:
            await peer.say(*map(a_big_ask, range(1, 40)), *map(an_ask, range(40, 240)))
        assert LIMITS.server_bytes * 0.9 < held(office.server) <= LIMITS.server_bytes
        ended = [peer.ended for peer in greedy]
        newcomer = await office.peer("newcomer")
        assert await newcomer.say(an_ask(1)) == [], "it is taken up"
        assert sum(peer.ended for peer in greedy) <= sum(ended) + 1
        goodbyes = [envelope for peer in greedy for envelope in peer.envelopes if isinstance(envelope, Goodbye)]
        assert {goodbye.code for goodbye in goodbyes} == {"resource_exhausted"}
        assert held(office.server) <= LIMITS.server_bytes


async def test_arguments_are_dropped_once_they_are_decoded_and_count_as_what_is_left(autojump_clock: MockClock) -> None:
    async with an_office(limits=LIMITS) as office:
        peer = await office.peer()
        await peer.say(a_big_ask(1))
        assert held(office.server) > 60 * KIB
        request = await office.inbox.receive()
        assert request.decode(dict[str, bytes]) == {"junk": bytes(60 * KIB)}
        assert held(office.server) > 60 * KIB, "the handler has them all"
        await peer.say(a_big_ask(2))
        request = await office.inbox.receive()
        assert request.decode(Nothing) == Nothing()
        assert held(office.server) < 60 * KIB + 4 * LIMITS.ask_bytes


async def test_an_end_of_any_kind_gives_everything_back(autojump_clock: MockClock) -> None:
    limits = replace(LIMITS, departed_clients=1)
    async with an_office(limits=limits) as office:
        for number in range(3):
            peer = await office.peer(f"client {number}")
            await peer.say(*[an_ask(counter, window=4096) for counter in range(1, 5)], a_big_ask(5))
            taken = [await office.inbox.receive() for _ in range(3)]
            for request in taken:
                for _ in range(200):
                    request.offer({"text": "x" * 100})
            # one end before its events were read, one by its caller, one with its link
            taken[2].answer()
            await peer.say(Cancel(1))
            await peer.endpoint.aclose()
            await trio.testing.wait_all_tasks_blocked()
            for request in taken:
                request.answer()
        # the last one's kept answers
        assert held(office.server) < 4 * KIB


async def test_answers_kept_for_those_who_left_give_way_first(autojump_clock: MockClock) -> None:
    async with an_office(limits=LIMITS) as office:
        for number in range(12):
            peer = await office.peer(f"gone {number}")
            for counter in range(1, 11):
                await peer.say(an_ask(counter))
                (await office.inbox.receive()).answer({"data": bytes(60 * KIB)})
            await peer.endpoint.aclose()
            await trio.testing.wait_all_tasks_blocked()
        assert held(office.server) > LIMITS.server_bytes * 0.8
        peer = await office.peer("here")
        assert await peer.say(*map(an_ask, range(1, FILL))) == [], "they are taken up"
        assert held(office.server) <= LIMITS.server_bytes


async def test_subscribers_that_do_not_read_lose_events_before_others_lose_anything(autojump_clock: MockClock) -> None:
    limits = replace(LIMITS, server_bytes=4 * 1024 * KIB)
    async with an_office(limits=limits) as office:
        requests: list[Request] = []
        peers = [await office.peer(f"deaf {number}") for number in range(2)]
        for peer in peers:
            await peer.say(*[an_ask(counter, window=4096) for counter in range(1, 101)])
            requests += [await office.inbox.receive() for _ in range(100)]
        event = encode_raw({"text": "x" * 1000})
        for _ in range(60):
            for request in requests:
                request.offer(event)
        assert held(office.server) <= limits.server_bytes
        hearing = await office.peer("hearing")
        await hearing.say(an_ask(1, window=64 * KIB))
        request = await office.inbox.receive()
        for _ in range(3):
            request.offer(event)
        await trio.testing.wait_all_tasks_blocked()
        numbers = [(envelope.number, envelope.lost) for envelope in hearing.envelopes if isinstance(envelope, Event)]
        assert numbers == [(0, 0), (1, 0), (2, 0)]


@pytest.mark.parametrize("says", [False, True])
async def test_a_peer_that_does_not_say_who_it_is_has_so_long_to_do_it(says: bool, autojump_clock: MockClock) -> None:
    async with an_office() as office:
        peer = await office.stranger()
        await trio.sleep(DEFAULT_LIMITS.hello_seconds / 2)
        if says:
            await peer.say(Hello(VERSIONS, "late", 1, 1))
        await trio.sleep(DEFAULT_LIMITS.hello_seconds)
        assert peer.ended is not says
        if not says:
            (goodbye,) = peer.envelopes
            assert isinstance(goodbye, Goodbye)
            assert goodbye.code == "protocol_error"


async def test_an_ask_holds_what_it_costs_until_its_answer_and_then_the_answer_is_held(
    autojump_clock: MockClock,
) -> None:
    async with an_office(limits=LIMITS) as office:
        peer = await office.peer()
        for counter in (1, 2, 3):
            before = held(office.server)
            await peer.say(an_ask(counter))
            assert held(office.server) == before + LIMITS.ask_bytes + len(bytes(encode_raw({})))
            request = await office.inbox.receive()
            request.answer({"n": counter})
            (reply,) = await peer.say()
            assert held(office.server) == before + len(encode(reply))
        await peer.say(an_ask(4, watermark=4))
        (await office.inbox.receive()).answer()
        (reply,) = await peer.say()
        assert held(office.server) == len(encode(reply)), "what the client wants no more is forgotten"


async def test_an_answer_that_its_client_can_not_want_any_more_is_not_kept(autojump_clock: MockClock) -> None:
    async with an_office(limits=LIMITS) as office:
        peer = await office.peer()
        await peer.say(an_ask(1))
        given_up = await office.inbox.receive()
        await peer.say(Cancel(1), an_ask(2, watermark=2))
        (await office.inbox.receive()).answer()
        await trio.testing.wait_all_tasks_blocked()
        before = held(office.server)
        given_up.answer({"data": bytes(10 * KIB)})
        assert held(office.server) < before
        assert failure_code(await peer.say(an_ask(1))) == "unknown"


class _Held:
    """A client's link; `kick` is noted."""

    def __init__(self, *, closing: bool = False) -> None:
        self.closing = closing
        self.kicked = False

    def post(self, message: bytes) -> None:
        raise AssertionError(message)

    async def send(self, message: bytes) -> None:
        raise AssertionError(message)

    def kick(self, code: str, reason: str, details: object = None) -> None:
        assert code == "resource_exhausted"
        self.kicked = True


@pytest.mark.parametrize(("freed", "kicked"), [(500, []), (79, ["large"]), (80, []), (0, ["large"])])
def test_what_a_link_holds_that_is_being_closed_is_as_good_as_free(freed: int, kicked: list[str]) -> None:
    limits = replace(DEFAULT_LIMITS, server_bytes=1000)
    clients = Clients(limits, Counters())
    links = {"closing": _Held(closing=True), "large": _Held(), "small": _Held(), "newcomer": _Held()}
    held = {"closing": freed, "large": 950 - freed, "small": 50}
    senders: dict[str, Sender] = {}
    for name, link in links.items():
        sender = clients.arrived(Hello(VERSIONS, name, 1, 1))
        assert sender is not None
        sender.session = link
        sender.account.take(held.get(name, 0))
        senders[name] = sender
    assert clients.has_room(senders["newcomer"], 80)
    assert [name for name, link in links.items() if link.kicked] == kicked
    # the next of the burst closes no other
    for link in links.values():
        link.closing, link.kicked = link.closing or link.kicked, False
    assert clients.has_room(senders["newcomer"], 80)
    assert not any(link.kicked for link in links.values())
