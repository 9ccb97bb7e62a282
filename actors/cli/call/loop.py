"""A Trio that runs only while somebody waits for it, in the thread that also reads the terminal.

For the shell: readline wants the main thread, which is where ^C arrives, and the link to the agent has to outlive one call (a
serial channel carries one session in its life). Between calls nothing runs; the kernel keeps what arrives. ^C cancels the
call in flight, or the next one, alone; while a line is read it is KeyboardInterrupt, as ever.
"""

from __future__ import annotations

import queue
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

import outcome
import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from contextlib import AbstractAsyncContextManager
    from types import FrameType

__all__ = ["Interrupted", "PausedLoop"]

T = TypeVar("T")
C = TypeVar("C")


class Interrupted(Exception):
    """The call in flight was cancelled by ^C."""


class PausedLoop(Generic[C]):
    """Holds `opened` open; `perform` runs things with it, one at a time. Use it in `with loop.running():`."""

    def __init__(self, opened: Callable[[], AbstractAsyncContextManager[C]]) -> None:
        self._opened = opened
        self._todo: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._ended: outcome.Outcome[None] | None = None
        self._jobs: trio.MemorySendChannel[Callable[[C], Awaitable[None]]] | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        # of what is being done; None while the loop is paused
        self._scope: trio.CancelScope | None = None
        self._reading = False
        # ^C came between two of those
        self._wanted = False

    @contextmanager
    def running(self) -> Generator[None]:
        """Raises what opening raises; closes in order at the end. SIGINT is ours meanwhile."""
        before = signal.signal(signal.SIGINT, self._on_interrupt)
        try:
            self._scope = trio.CancelScope()
            trio.lowlevel.start_guest_run(
                self._main, self._scope, run_sync_soon_threadsafe=self._todo.put, done_callback=self._on_end
            )
            self._pump_until_done()
            try:
                if self._ended is None:
                    yield
            finally:
                self._scope = trio.CancelScope()
                self._soon(self._close)
                self._pump_until_done()
        finally:
            signal.signal(signal.SIGINT, before)
        assert self._ended is not None
        self._ended.unwrap()

    @contextmanager
    def reading(self) -> Generator[None]:
        """Around what waits for a person: here alone ^C is KeyboardInterrupt."""
        self._wanted = False
        self._reading = True
        try:
            yield
        finally:
            self._reading = False

    def perform(self, work: Callable[[C], Awaitable[T]]) -> T:
        """Run it to its end. Raises: Interrupted, and what it raises."""
        done: list[outcome.Outcome[T]] = []
        scope = self._scope = trio.CancelScope()
        if self._wanted:
            scope.cancel()

        async def job(held: C) -> None:
            with scope:
                try:
                    done.append(outcome.Value(await work(held)))
                except Exception as error:
                    done.append(outcome.Error(error))

        self._soon(lambda: self._submit(job))
        self._pump_until_done()
        if not done:
            raise Interrupted
        return done[0].unwrap()

    async def _main(self, opening: trio.CancelScope) -> None:
        self._jobs, jobs = trio.open_memory_channel["Callable[[C], Awaitable[None]]"](1)
        self._token = trio.lowlevel.current_trio_token()
        # cancelled by ^C while it opens, and never again
        with opening:
            async with self._opened() as held:
                self._scope = None
                async for job in jobs:
                    await job(held)
                    self._scope = None
        if opening.cancelled_caught:
            raise Interrupted

    def _submit(self, job: Callable[[C], Awaitable[None]]) -> None:
        assert self._jobs is not None
        self._jobs.send_nowait(job)

    def _close(self) -> None:
        assert self._jobs is not None
        self._jobs.close()

    def _soon(self, function: Callable[[], object]) -> None:
        if self._token is not None and self._ended is None:
            self._token.run_sync_soon(function)

    def _pump_until_done(self) -> None:
        while self._ended is None and self._scope is not None:
            self._todo.get()()

    def _on_end(self, ended: outcome.Outcome[None]) -> None:
        self._ended = ended

    def _on_interrupt(self, _signum: int, _frame: FrameType | None) -> None:
        if self._reading:
            raise KeyboardInterrupt
        self._wanted = True
        if self._scope is not None:
            self._soon(self._scope.cancel)
