"""Workers: jobs begin in order and run beside each other, in as many tasks as there are jobs that wait."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from transports.calls.workers import KEPT, Workers

if TYPE_CHECKING:
    from trio.testing import MockClock

# how often a job gives way
Job = int


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=40))
def test_every_job_is_served_once_and_begun_in_order(jobs: list[tuple[Job, bool]]) -> None:
    begun: list[int] = []
    ended: list[int] = []

    async def serve(number: int) -> None:
        begun.append(number)
        for _ in range(jobs[number][0]):
            await trio.lowlevel.checkpoint()
        ended.append(number)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            workers = Workers(nursery, serve)
            for number, (_, pause) in enumerate(jobs):
                workers.add(number)
                if pause:
                    await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()
            assert len(nursery.child_tasks) <= KEPT
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert begun == sorted(begun) == list(range(len(jobs)))
    assert sorted(ended) == begun


@pytest.mark.parametrize("waiting", [0, 1, 20])
async def test_no_job_is_held_up_by_those_that_wait(waiting: int, autojump_clock: MockClock) -> None:
    begun = 0

    async def serve(waits: bool) -> None:
        nonlocal begun
        begun += 1
        if waits:
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        workers = Workers(nursery, serve)
        for _ in range(3):
            before = begun
            for number in range(2 * waiting + 1):
                workers.add(number % 2 == 1)
            await trio.testing.wait_all_tasks_blocked()
            assert begun == before + 2 * waiting + 1
        nursery.cancel_scope.cancel()


async def test_jobs_that_wait_begin_in_one_pass_and_the_others_in_one_task(autojump_clock: MockClock) -> None:
    tasks: list[trio.lowlevel.Task] = []

    async def serve(waits: bool) -> None:
        tasks.append(trio.lowlevel.current_task())
        if waits:
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        workers = Workers(nursery, serve)
        for waits, distinct in ((True, 5), (True, 5), (False, 1), (False, 1)):
            tasks.clear()
            for _ in range(5):
                workers.add(waits)
            await trio.testing.wait_all_tasks_blocked()
            assert (len(tasks), len(set(tasks))) == (5, distinct)
        # the first of these does not know yet that the next will wait
        tasks.clear()
        for _ in range(5):
            workers.add(True)
        await trio.testing.wait_all_tasks_blocked()
        assert len(tasks) == 5
        nursery.cancel_scope.cancel()


async def test_a_job_is_cancelled_and_fails_where_it_waits(autojump_clock: MockClock) -> None:
    seen: list[str] = []

    async def serve(scope: trio.CancelScope | None) -> None:
        if scope is None:
            await trio.lowlevel.checkpoint()
            raise ValueError("a job's own")
        with scope:
            try:
                await trio.sleep_forever()
            finally:
                seen.append("cleaned up")

    scope = trio.CancelScope()
    with suppress(BaseExceptionGroup):
        async with trio.open_nursery() as nursery:
            workers = Workers(nursery, serve)
            workers.add(scope)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
            assert seen == ["cleaned up"]
            assert scope.cancelled_caught
            workers.add(trio.CancelScope())
            workers.add(None)
            await trio.sleep_forever()
    assert seen == ["cleaned up"] * 2
