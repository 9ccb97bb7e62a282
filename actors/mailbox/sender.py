"""What a server remembers of one client, so that no ask of its runs twice.

Pure bookkeeping: which counters are being worked on, which are answered and with what, and below which
nothing is known any more. It outlives the client's links. Not for links: `session` is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.limits import Limits
    from transports.shared_bound import Account

__all__ = ["Counters", "InFlight", "Link", "Sender"]


class Link(Protocol):
    """What asks and the memory of clients need of a client's link (`session`)."""

    @property
    def closing(self) -> bool:
        """Whether nothing is heard on it any more."""
        ...

    def post(self, message: bytes) -> None:
        """Send without waiting."""
        ...

    async def send(self, message: bytes) -> None:
        """Send after what waits. Raises what `Endpoint.send` raises."""
        ...

    def kick(self, code: str, reason: str, details: Mapping[str, object] | None = None) -> None:
        """Close it, telling the client why."""
        ...


class InFlight(Protocol):
    """What a link can do to an ask that is not answered yet (`request`)."""

    @property
    def is_stream(self) -> bool:
        """Whether the caller takes chunks or events."""
        ...

    def cancel(self) -> None:
        """Nobody waits any more."""
        ...

    def join(self) -> None:
        """The same client asks again with the same id."""
        ...

    def grant(self, amount: int) -> bool:
        """The reader took `amount` bytes; False when it claims more than it was sent."""
        ...


@dataclass(slots=True)
class Counters:
    """What a server would otherwise do in silence.

    Attributes:
        late_answers: second answers to one ask, dropped.
        unwanted_answers: answers that nobody waited for any more; kept, in case they are asked for again.
        repeated_asks: asks that joined one in flight or got a kept answer.
        refused_asks: asks refused before any actor saw them.
        kicked_links: links closed because their client broke the protocol or did not read.
    """

    late_answers: int = 0
    unwanted_answers: int = 0
    repeated_asks: int = 0
    refused_asks: int = 0
    kicked_links: int = 0


class Sender:
    """One (client, epoch).

    Attributes:
        session: its link, None while it has none.
        account: what the server holds for it, of what it holds for all: asks in flight, events, answers kept.
        in_flight: asks by counter, from their arrival to their answer.
        finished: encoded answers by counter.
        floor: below it an ask that is neither in flight nor answered may or may not have run.
    """

    __slots__ = (
        "_kept_bytes",
        "account",
        "client",
        "counters",
        "epoch",
        "finished",
        "floor",
        "in_flight",
        "limits",
        "session",
    )

    def __init__(
        self, client: str, epoch: int, *, unused: int, limits: Limits, counters: Counters, account: Account
    ) -> None:
        self.account = account
        self.client = client
        self.epoch = epoch
        self.limits = limits
        self.counters = counters
        self.session: Link | None = None
        self.in_flight: dict[int, InFlight] = {}
        self.finished: dict[int, bytes] = {}
        self.floor = unused
        self._kept_bytes = 0

    def raise_floor(self, watermark: int) -> None:
        """The client wants no answer below `watermark` any more: forget them."""
        if watermark <= self.floor:
            return
        self.floor = watermark
        for counter in [counter for counter in self.finished if counter < watermark]:
            self._keep(-len(self.finished.pop(counter)))

    def _keep(self, size: int) -> None:
        self._kept_bytes += size
        self.account.take(size)

    def forget_answers(self) -> None:
        """Nobody will ask for any of them again."""
        self.finished.clear()
        self._keep(-self._kept_bytes)

    def settle(self, counter: int, answer: bytes) -> None:
        """Keep the answer in case it is asked for again; over a bound the oldest are forgotten."""
        self.in_flight.pop(counter, None)
        if counter < self.floor:
            return
        self.finished[counter] = answer
        self._keep(len(answer))
        while self.finished and (
            len(self.finished) > self.limits.finished_answers
            or self._kept_bytes > self.limits.finished_answer_bytes
            or not self.account.allows(0)
        ):
            oldest = next(iter(self.finished))
            self._keep(-len(self.finished.pop(oldest)))
            self.floor = max(self.floor, oldest + 1)
