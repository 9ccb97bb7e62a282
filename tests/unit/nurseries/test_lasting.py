"""A nursery whose tasks last until its block has ended, whatever is cancelled around it."""

from __future__ import annotations

import trio
import trio.testing

from actors.nurseries import open_lasting_nursery


async def test_its_tasks_go_on_under_a_cancel_until_the_shielded_end_is_over(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await trio.sleep(1)
            ticks.append(trio.current_time())

    with trio.CancelScope() as around:
        async with open_lasting_nursery() as lasting:
            lasting.start_soon(tick)
            around.cancel()
            with trio.CancelScope(shield=True):
                await trio.sleep(3.5)
    assert len(ticks) == 3


async def test_it_opens_and_ends_where_a_cancel_came_first(autojump_clock: trio.testing.MockClock) -> None:
    entered = False
    with trio.fail_after(60), trio.CancelScope() as around:
        around.cancel()
        async with open_lasting_nursery():
            entered = True
    assert entered
