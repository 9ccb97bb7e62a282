"""Who may run beside whom in one actor: a fair queue.

For the actor loop, and for an owner that joins its child's queue. Not for running anything: a task takes a
place, waits for its turn, and leaves. Rules (`actors.wire.verbs.Concurrency`): turns come in
arrival order; shared ones run together; an exclusive one runs alone; a preemptive one overtakes what waits
and does not wait for shared ones; BESIDE is never held up.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

from actors.wire.verbs import Concurrency

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["TurnQueue"]


class TurnQueue:
    """The turn queue of one actor."""

    class Turn:
        """A place in the turn queue; leaving its `with` block gives the place up, whether or not its turn came."""

        def __init__(self, turns: TurnQueue, concurrency: Concurrency) -> None:
            self._turns = turns
            self.concurrency = concurrency
            self._turn = trio.Event()

        async def wait(self) -> None:
            """Wait until it may run."""
            await self._turn.wait()

        def call(self) -> None:
            """Tell it that its turn has come."""
            self._turn.set()

        @property
        def called(self) -> bool:
            """Whether its turn has come."""
            return self._turn.is_set()

        def __enter__(self) -> TurnQueue.Turn:
            return self

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None:
            self._turns._leave(self)  # pyright: ignore[reportPrivateUsage]  # a turn is a part of its queue

    def __init__(self) -> None:
        self._queue: deque[TurnQueue.Turn] = deque()
        self._shared = 0
        self._exclusive = 0

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._queue)

    def take(self, concurrency: Concurrency) -> TurnQueue.Turn:
        """Take a place now; enter it at once, and it will be given up in any case."""
        turn = TurnQueue.Turn(self, concurrency)
        if concurrency is Concurrency.BESIDE:
            turn.call()
        elif concurrency is Concurrency.PREEMPTIVE:
            ahead = sum(1 for other in self._queue if other.concurrency is Concurrency.PREEMPTIVE)
            self._queue.insert(ahead, turn)
            self._advance()
        else:
            self._queue.append(turn)
            self._advance()
        return turn

    def _leave(self, turn: TurnQueue.Turn) -> None:
        if turn.concurrency is Concurrency.BESIDE:
            return
        if not turn.called:
            self._queue.remove(turn)
        elif turn.concurrency is Concurrency.SHARED:
            self._shared -= 1
        else:
            self._exclusive -= 1
        self._advance()

    def _advance(self) -> None:
        while self._queue and not self._exclusive:
            head = self._queue[0]
            if head.concurrency is Concurrency.EXCLUSIVE and self._shared:
                return
            self._queue.popleft()
            if head.concurrency is Concurrency.SHARED:
                self._shared += 1
            else:
                self._exclusive += 1
            head.call()
