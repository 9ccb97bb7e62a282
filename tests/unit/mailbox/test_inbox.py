"""How an actor's requests is given out. In virtual time."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import trio

from actors.mailbox.inbox import BURST
from tests.support.office import an_ask, an_office

if TYPE_CHECKING:
    from trio.testing import MockClock


class _Turns(trio.abc.Instrument):
    """How much had been taken whenever everybody else had had a turn."""

    def __init__(self) -> None:
        self._task = trio.lowlevel.current_task()
        self.taken = 0
        self.at: list[int] = []

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self.at.append(self.taken)


async def test_after_a_burst_of_request_every_other_task_has_its_turn(autojump_clock: MockClock) -> None:
    async with an_office() as office:
        peer = await office.peer()
        await peer.say(*(an_ask(counter) for counter in range(1, 4 * BURST)))
        turns = _Turns()
        trio.lowlevel.add_instrument(turns)
        for _ in range(1, 4 * BURST):
            await office.inbox.receive()
            turns.taken += 1
        trio.lowlevel.remove_instrument(turns)
    assert max(after - before for before, after in pairwise(turns.at)) == BURST
