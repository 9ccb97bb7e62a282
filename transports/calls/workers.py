"""Tasks that serve queued jobs, each job in one task: as many tasks as jobs that wait for something, not one for each job.

Theory of operation. A new task for each job would cost more than most jobs do. So a worker takes queued jobs one after the other, in
order of arrival, and keeps its task when the queue is empty. It notices when a job has to wait for the first time (`_noticing` sees
what the job yields to Trio), and before it waits, it calls a worker for each job that is still queued: no job is held up by one that
waits. Whether the latest job did wait (`_each`) tells what the next ones will do: if so, `add` calls a worker for each of them, and
all begin in one scheduler pass; if not, it calls one for the whole queue.

While a job is queued, a worker is called that has not run yet, or one is running that will look at the queue again before it waits.

Not for bounds: who adds jobs bounds them, and so the workers.
"""

from __future__ import annotations

import types
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

__all__ = ["Workers"]

Job = TypeVar("Job")

# workers kept without work, some 3 KiB each: as many as a busy caller has calls in progress
KEPT = 8


class Workers(Generic[Job]):
    """The workers of one owner.

    Args:
        nursery: where they run, until it is cancelled.
        serve: serves one job; what it raises ends the nursery.
    """

    def __init__(self, nursery: trio.Nursery, serve: Callable[[Job], Coroutine[Any, Any, None]]) -> None:
        self._nursery = nursery
        self._serve = serve
        self._queue: deque[Job] = deque()
        self._idle = trio.lowlevel.ParkingLot()
        # woken or started, and have not run yet
        self._called = 0
        self._each = True

    def add(self, job: Job) -> None:
        """Have a job served, from the next scheduler pass on."""
        self._queue.append(job)
        if self._each or not self._called:
            self._call()

    def _call(self) -> None:
        self._called += 1
        if self._idle:
            self._idle.unpark()
        else:
            self._nursery.start_soon(self._work)

    def _waits(self) -> None:
        """The job that was begun just now has to wait."""
        self._each = True
        while self._called < len(self._queue):
            self._call()

    async def _work(self) -> None:
        queue, serve, waits = self._queue, self._serve, self._waits
        while True:
            self._called -= 1
            while queue:
                self._each = False
                await _noticing(serve(queue.popleft()), waits)
            if len(self._idle) >= KEPT:
                return
            await self._idle.park()


@types.coroutine
def _noticing(job: Coroutine[Any, Any, None], waits: Callable[[], None]) -> Generator[Any, Any, None]:
    """Await a job; `waits` is called when it gives way to other tasks for the first time."""
    try:
        trap = job.send(None)
        waits()
        while True:
            try:
                resumed = yield trap
            except BaseException as error:
                trap = job.throw(error)
            else:
                trap = job.send(resumed)
    except StopIteration:
        return
    finally:
        job.close()
