"""A task with a handle: what a cancel from outside does to it, and when."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from actors.cancellable import CancellableTask


async def _lasts(*, task_status: trio.TaskStatus[None]) -> None:
    task_status.started()
    await trio.sleep_forever()


@pytest.mark.parametrize("early", [True, False])
async def test_a_shielded_one_outlasts_a_cancel_unless_that_came_before_its_start(
    early: bool, autojump_clock: trio.testing.MockClock
) -> None:
    task = CancellableTask("a task", shield=True)

    async def end_it() -> None:
        await trio.sleep(60)
        task.cancel()

    async with trio.open_nursery() as outside:
        outside.start_soon(end_it)
        with trio.CancelScope() as around:
            async with trio.open_nursery() as nursery:
                if early:
                    around.cancel()
                await nursery.start(task.run, _lasts)
                around.cancel()
        outside.cancel_scope.cancel()
    assert trio.current_time() == (0 if early else 60)
