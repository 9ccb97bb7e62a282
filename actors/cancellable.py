"""A long-lived task with a handle for its owner: cancel it, wait for its end, start it in a nursery.

For an owner that ends its children one by one and in order, where a nursery alone can only end all at once.
Not for short work: that is an ordinary child task.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import trio

from actors.errors import InvalidTransition
from actors.nurseries import plain_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.errors import KatrioError

__all__ = ["CancellableTask"]


class _Startable(Protocol):
    async def __call__(self, *, task_status: trio.TaskStatus[Any]) -> None: ...


class CancellableTask:
    """One task; `started` once its `task_status.started` has been called.

    With `shield`, a cancel from outside does not reach it once it has started: its owner ends it, always boundedly.
    """

    def __init__(self, name: str, *, shield: bool = False) -> None:
        self.name = name
        self._shielded = shield
        self._scope = trio.CancelScope()
        self.started = False
        self._why: KatrioError | None = None
        self._done = trio.Event()

    async def run(
        self,
        run: _Startable,
        finish: Callable[[], None] | None = None,
        *,
        task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run `run` to its end, then call `finish`; start this with `nursery.start`.

        Raises (before it has started): what `run` raises, one plain error even when a nursery of its own
        wrapped it; what `cancel` was given when it was cancelled by then, or InvalidTransition.
        """
        try:
            with self._scope:
                await run(task_status=_Watched(self, task_status))
        except BaseExceptionGroup as group:
            raise plain_error(group) from None
        finally:
            self._done.set()
            if finish is not None:
                finish()
        if not self.started:
            stopped = InvalidTransition(f"{self.name} was stopped while it was coming up", state="stopping")
            raise self._why or stopped

    def mark_started(self) -> None:
        """Its `task_status.started` is called now."""
        self.started = True
        # Trio leaves one that was cancelled before this with who starts it, who would wait for a shielded one for ever
        if self._shielded and trio.current_effective_deadline() > -math.inf:
            self.shield()

    def cancel(self, why: KatrioError | None = None) -> None:
        """End it; `wait` tells when it has ended. `why`: for who waits for its start."""
        self._why = self._why or why
        self._scope.cancel()

    def shield(self) -> None:
        """From now on a cancel from outside does not reach it."""
        self._scope.shield = True

    async def wait(self) -> None:
        """Wait until it has ended and cleaned up."""
        await self._done.wait()


class _Watched:
    """Notes that a task has started, and passes it on."""

    def __init__(self, task: CancellableTask, inner: trio.TaskStatus[Any]) -> None:
        self._task = task
        self._inner = inner

    def started(self, value: Any = None) -> None:
        self._task.mark_started()
        self._inner.started(value)
