"""Whatever bytes a client sends, in whatever order: the hub answers or ends that link, and serves the next as before.

Envelopes that are right, almost right, and noise, drawn by Hypothesis. What each kind of nonsense is answered is in
`tests/integration/test_hostile_mail.py`.
"""

from __future__ import annotations

from dataclasses import replace

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.limits import DEFAULT_LIMITS
from actors.wire.codec import encode
from actors.wire.envelope import Failure, Goodbye, Reply, Welcome
from tests.support.foreign import packb
from tests.support.office import Office, an_ask, an_office
from transports.errors import TransportError

LIMITS = replace(DEFAULT_LIMITS, inbox_messages=2, asks_in_flight=3, finished_answers=2)

small = st.integers(-1, 6)
counters = small | st.sampled_from([2**63 - 1, 2**63, 2**64 - 1])
texts = st.sampled_from(["box", "", "nobody", "work", "hello", "x" * 65, "x" * 257])
scalars = counters | texts | st.none() | st.booleans() | st.floats() | st.binary(max_size=8)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3))
envelopes = st.one_of(
    st.tuples(
        st.just("ask"), counters, texts, texts, values, small | st.none(), counters, st.sampled_from([0, 1, 4096])
    ),
    st.tuples(st.just("cancel"), counters),
    st.tuples(st.just("credit"), counters, counters),
    st.tuples(st.just("hello"), st.lists(small, max_size=3), texts, counters, counters),
    st.tuples(st.sampled_from(["ask", "reply", "chunk", "event", "welcome", "goodbye", "tell"]), values, values),
).map(packb)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    message = draw(envelopes)
    match draw(st.sampled_from(["as it is", "as it is", "as it is", "cut", "flipped", "more", "noise"])):
        case "cut":
            return message[: draw(st.integers(0, len(message)))]
        case "flipped":
            place = draw(st.integers(0, len(message) - 1))
            return message[:place] + bytes([draw(st.integers(0, 255))]) + message[place + 1 :]
        case "more":
            return message + draw(st.binary(min_size=1, max_size=4))
        case "noise":
            return draw(st.binary(max_size=40))
        case _:
            return message


async def play(script: list[bytes]) -> None:
    async with an_office(limits=LIMITS) as office:
        office.nursery.start_soon(office.answer_all)
        peer = await office.peer("hostile")
        for message in script:
            try:
                await peer.endpoint.send(message)
            except TransportError:
                break
            await trio.testing.wait_all_tasks_blocked()
        for envelope in peer.envelopes:
            assert isinstance(envelope, (Welcome, Reply, Failure, Goodbye))
        if peer.ended:
            assert isinstance(peer.envelopes[-1], Goodbye), "it was cut off without a word"
        await served_as_before(office)


async def served_as_before(office: Office) -> None:
    polite = await office.peer("polite")
    (reply,) = await polite.say(an_ask(1))
    assert isinstance(reply, Reply)


@settings(deadline=None, max_examples=150)
@given(st.lists(messages(), max_size=12))
def test_no_bytes_hurt_the_hub_or_the_next_client(script: list[bytes]) -> None:
    trio.run(play, script, clock=trio.testing.MockClock(autojump_threshold=0))


def test_the_drawn_asks_are_read_as_asks() -> None:
    assert packb(["ask", 1, "box", "work", dict[str, object](), None, 1, 0, None]) == encode(an_ask(1))
