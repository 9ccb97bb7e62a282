"""How an actor's mail is given out. In virtual time."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import trio
import trio.testing

from actors.mailbox.inbox import BURST
from tests.support.office import an_ask, an_office

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_after_a_burst_of_mail_every_other_task_has_its_turn(autojump_clock: MockClock) -> None:
    taken = 0
    turns: list[int] = []

    async def other() -> None:
        while True:
            turns.append(taken)
            await trio.lowlevel.checkpoint()

    async with an_office() as office:
        peer = await office.peer()
        await peer.say(*(an_ask(counter) for counter in range(1, 4 * BURST)))
        office.nursery.start_soon(other)
        for _ in range(1, 4 * BURST):
            await office.inbox.receive()
            taken += 1
    assert max(after - before for before, after in pairwise(turns)) == BURST
