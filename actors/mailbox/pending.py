"""An ask that waits for its answer, at the client.

The task that reads the link wakes the asker itself: one wake per answer. Not for the second half of a
stream's life: `stream` keeps what arrives before the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import outcome
import trio

from actors.errors import OutcomeUnknown
from transports.parking import ParkingSpot

if TYPE_CHECKING:
    from actors.errors import KatrioError
    from actors.wire.envelope import Chunk, Event, Failure, Reply

__all__ = ["PendingAsk"]


class PendingAsk(ParkingSpot[Any]):
    """One ask in flight; the first of `settle`, `lose` and `abandon` has an effect."""

    __slots__ = ("_abandoned", "_outcome", "counter", "verb")

    def __init__(self, counter: int, verb: str) -> None:
        super().__init__()
        self.counter = counter
        self.verb = verb
        self._outcome: outcome.Outcome[Reply | Failure] | None = None
        self._abandoned = False

    @property
    def pending(self) -> bool:
        """Whether it still waits (for the client's timer)."""
        return self._outcome is None and not self._abandoned

    def settle(self, answer: Reply | Failure) -> None:
        """The answer has come."""
        self._end(outcome.Value(answer))

    def lose(self, error: KatrioError) -> None:
        """No answer will come."""
        self._end(outcome.Error(error))

    def abandon(self) -> None:
        """Its asker has gone; nothing more happens to it."""
        self._abandoned = True

    def expire(self) -> None:
        """Its time is over and the server has not said what became of the ask."""
        self.lose(OutcomeUnknown(f"{self.verb} was sent and not answered in time", counter=self.counter))

    def arrived(self, part: Chunk | Event) -> bool:
        """A part of a stream; False when this is no stream or the part is more than was granted."""
        return False

    async def wait(self) -> Reply | Failure:
        """The answer. Raises what `lose` was given."""
        if self._outcome is not None:
            await trio.lowlevel.checkpoint_if_cancelled()
            return self._outcome.unwrap()
        answer: Reply | Failure = await self.park()
        return answer

    def _end(self, result: outcome.Outcome[Reply | Failure]) -> None:
        if self._outcome is None:
            self._outcome = result
            self.unpark(result)
