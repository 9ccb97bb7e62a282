"""The task that sends, in the next scheduler pass, what endpoints queued in this one.

This coalesces without a timer: all that is queued in one pass leaves in one frame. A lone message skips it: the
endpoint sends that at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from transports.nng.endpoint import NngEndpoint

__all__ = ["Flusher"]

# nng's shared send queue was full: its threads need about this long to drain a good part of it, in seconds
STUCK_SECONDS = 0.001


class Flusher:
    """The list of endpoints to flush, and the task that flushes them."""

    def __init__(self) -> None:
        self._marked: list[NngEndpoint] = []
        self._task: trio.lowlevel.Task | None = None

    def mark(self, endpoint: NngEndpoint) -> None:
        """Flush it in the next pass."""
        if not endpoint.marked:
            endpoint.marked = True
            self._marked.append(endpoint)
            if self._task is not None:
                task, self._task = self._task, None
                trio.lowlevel.reschedule(task)

    def note(self, endpoint: NngEndpoint) -> None:
        """Flush it with the next `flush_marked`, which the caller calls in this pass; spares waking the task."""
        if not endpoint.marked:
            endpoint.marked = True
            self._marked.append(endpoint)

    def flush_marked(self) -> bool:
        """Flush now; whether some endpoints still have data that nng did not take."""
        marked, self._marked = self._marked, []
        for endpoint in marked:
            endpoint.marked = False
            endpoint.flush()
        return bool(self._marked)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if not self._marked:
                self._task = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._abort)
            if self.flush_marked():
                await trio.sleep(STUCK_SECONDS)

    def _abort(self, _raise: Any) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED
