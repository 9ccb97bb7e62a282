"""What ^C means in the shell: it drops the line that is read, or cancels the call in flight, alone.

The shell reads a line inside the one Trio run, which stands still meanwhile; the kernel keeps what arrives. readline wants the main
thread, where ^C arrives too, and the link to the agent has to outlive one call (a serial channel carries one session in its life).
Left to Trio, ^C would be a KeyboardInterrupt in whatever task runs, the link's as well.
"""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from contextlib import AbstractAsyncContextManager
    from types import FrameType

__all__ = ["Interrupted", "Interrupts"]

C = TypeVar("C")


class Interrupted(Exception):
    """What was being done was cancelled by ^C."""


class Interrupts:
    """SIGINT, while `open` lasts. What is neither in `reading` nor in `cancelling` is not disturbed: the next of those is."""

    def __init__(self) -> None:
        # of what is being done
        self._scope: trio.CancelScope | None = None
        self._reading = False
        self._wanted = False

    @asynccontextmanager
    async def open(self, opened: AbstractAsyncContextManager[C]) -> AsyncGenerator[C]:
        """Hold `opened` open. Raises: Interrupted by ^C while it opens."""
        token = trio.lowlevel.current_trio_token()

        def interrupt(_signum: int, _frame: FrameType | None) -> None:
            if self._reading:
                raise KeyboardInterrupt
            self._wanted = True
            token.run_sync_soon(self._cancel)

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            with self.cancelling():
                async with opened as held:
                    self._scope = None
                    yield held
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def reading(self) -> Generator[None]:
        """Around what waits for a person: here alone ^C is KeyboardInterrupt, and one that came before is forgotten."""
        self._wanted = False
        self._reading = True
        try:
            yield
        finally:
            self._reading = False

    @contextmanager
    def cancelling(self) -> Generator[None]:
        """Around one thing that is done. Raises: Interrupted by ^C."""
        with trio.CancelScope() as scope:
            self._scope = scope
            if self._wanted:
                scope.cancel()
            try:
                yield
            finally:
                self._scope = None
        if scope.cancelled_caught:
            raise Interrupted

    def _cancel(self) -> None:
        if self._scope is not None and self._wanted:
            self._scope.cancel()
