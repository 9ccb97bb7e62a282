"""The actor loop: whatever a verb does, its caller gets one answer, and the right one. In virtual time."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from actors.actor import Actor
from actors.errors import KatrioError, NotFound
from actors.limits import DEFAULT_LIMITS
from actors.wire.verbs import Concurrency, Nothing, Verb
from tests.support.office import Office, an_ask, asking, failure_code

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from actors.mailbox import Client, Request

LIMITS = replace(DEFAULT_LIMITS, mutate_seconds=50)
# verb -> whether it changes state, how it may overlap, and what it does
CHANGES = Verb(Nothing, Nothing, Concurrency.EXCLUSIVE)
READS = Verb(Nothing, Nothing, Concurrency.BESIDE, changes_state=False, stoppable=True)
STOPPABLE = Verb(Nothing, Nothing, Concurrency.BESIDE, stoppable=True)


async def _done(args: Nothing, request: Request) -> Nothing:
    await trio.sleep(1)
    return args


async def _refuses(args: Nothing, request: Request) -> Nothing:
    raise NotFound("there is none")


async def _has_a_bug(args: Nothing, request: Request) -> Nothing:
    raise ZeroDivisionError


async def _never(args: Nothing, request: Request) -> Nothing:
    await trio.sleep_forever()
    raise AssertionError


async def _answers_first(args: Nothing, request: Request) -> Nothing:
    request.fail(NotFound("told at once"))
    await trio.sleep(1)
    return args


@asynccontextmanager
async def an_actor(**verbs: tuple[Verb[Nothing, Nothing], Any]) -> AsyncGenerator[tuple[Office, Client]]:
    async with asking(LIMITS) as (office, client):
        table = {name: verb for name, (verb, _) in verbs.items()}
        handlers = {name: handler for name, (_, handler) in verbs.items()}
        office.nursery.start_soon(Actor(office.inbox, table, LIMITS).serve, handlers)
        yield office, client


@pytest.mark.parametrize(
    ("verb", "handler", "budget", "code", "seconds"),
    [
        (CHANGES, _done, 5, "", 1),
        (READS, _done, 5, "", 1),
        (CHANGES, _refuses, 5, "not_found", 0),
        (CHANGES, _has_a_bug, 5, "internal", 0),
        (READS, _has_a_bug, 5, "internal", 0),
        (CHANGES, _answers_first, 5, "not_found", 0),
        # what changes nothing stops with its caller; what does runs to its own bound
        (READS, _never, 5, "expired", 5),
        (STOPPABLE, _never, 5, "unknown", 5),
        (CHANGES, _never, None, "unknown", 50),
    ],
)
async def test_a_verb_is_answered_once_and_in_time(
    verb: Verb[Nothing, Nothing],
    handler: Any,
    budget: float | None,
    code: str,
    seconds: float,
    autojump_clock: MockClock,
) -> None:
    async with an_actor(work=(verb, handler)) as (office, client):
        began = trio.current_time()
        try:
            await client.ask("box", "work", Nothing(), Nothing, timeout=budget)
            said = ""
        except KatrioError as error:
            said = error.code
        assert said == code
        assert trio.current_time() - began == pytest.approx(seconds, abs=0.01)
        await trio.sleep(100)
        assert office.server.counters.late_answers == 0
        # whatever it was, the actor goes on
        with pytest.raises(KatrioError, match="knows no verb"):
            await client.ask("box", "nothing like it", Nothing(), Nothing)


@pytest.mark.parametrize(
    ("how", "code"), [("deadline", "expired"), ("cancel", "cancelled"), ("its turn comes", "")], ids=lambda value: value
)
async def test_what_waits_for_its_turn_in_vain_was_not_begun(how: str, code: str, autojump_clock: MockClock) -> None:
    begun: list[str] = []

    async def work(args: Nothing, request: Request) -> Nothing:
        begun.append(request.verb)
        await trio.sleep(10)
        return args

    async with an_actor(first=(CHANGES, work), second=(CHANGES, work)) as (office, client):
        answers: list[str] = []

        async def second() -> None:
            try:
                await client.ask("box", "second", Nothing(), Nothing, timeout=5 if how == "deadline" else math.inf)
                answers.append("")
            except KatrioError as error:
                answers.append(error.code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.ask, "box", "first", Nothing(), Nothing)
            await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(5 if how == "cancel" else math.inf):
                await second()
        assert answers == ([] if how == "cancel" else [code])
        assert begun == (["first", "second"] if how == "its turn comes" else ["first"])
        assert office.server.counters.late_answers == 0


async def test_more_than_so_many_may_not_wait_for_their_turn(autojump_clock: MockClock) -> None:
    limits = replace(LIMITS, inbox_messages=2)
    async with asking(limits) as (office, _):
        office.nursery.start_soon(Actor(office.inbox, {"work": CHANGES}, limits).serve, {"work": _never})
        peer = await office.peer()
        assert await peer.say(*map(an_ask, range(1, 4))) == [], "one runs, two wait"
        assert failure_code(await peer.say(an_ask(4))) == "busy"
