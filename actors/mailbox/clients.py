"""Every client that a server knows, with a link or without, and the memory that they share.

Pure bookkeeping over their `Sender`s: who may have a link, who is remembered after it, and who has to give way when the server
holds as much as it may. Not for names and links: the server has those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.mailbox.sender import Counters, Sender
from transports.shared_bound import SharedBound

if TYPE_CHECKING:
    from actors.limits import Limits
    from actors.wire.envelope import Hello
    from transports.shared_bound import Account

__all__ = ["Clients"]

# so many times what another asks for is held by a client that is closed for it
MUCH_MORE = 8


class Clients:
    """See the module."""

    def __init__(self, limits: Limits, counters: Counters) -> None:
        self._limits = limits
        self._counters = counters
        self._memory = SharedBound(limits.server_bytes)
        self._senders: dict[str, Sender] = {}
        # names of clients without a link, the longest gone first
        self._departed: dict[str, None] = {}

    def account(self) -> Account:
        """One more share of the memory, for what a link holds."""
        return self._memory.account()

    def arrived(self, hello: Hello) -> Sender | None:
        """What is remembered of a client; None when it may not have this link."""
        sender = self._senders.get(hello.client)
        if sender is not None and (sender.session is not None or sender.epoch > hello.epoch):
            return None
        self._departed.pop(hello.client, None)
        if sender is None or sender.epoch != hello.epoch:
            if sender is not None:
                sender.forget_answers()
            sender = Sender(
                hello.client,
                hello.epoch,
                unused=hello.unused,
                limits=self._limits,
                counters=self._counters,
                account=self._memory.account(),
            )
            self._senders[hello.client] = sender
        return sender

    def has_room(self, sender: Sender, size: int) -> bool:
        """Whether the server may hold `size` bytes more for this client.

        Who holds little is not refused for others' sake: those without a link are forgotten, and then the link of the
        one that holds the most is closed. What links hold that are being closed already is as good as free: a burst of asks
        closes no more of them than it needs.
        """
        account = sender.account
        while self._departed and not account.allows(size):
            self._forget_departed()
        if account.allows(size):
            return True
        linked = [(other, other.session) for other in self._senders.values() if other.session is not None]
        if account.allows(size, freed=sum(other.account.held for other, session in linked if session.closing)):
            return True
        largest = max((other for other, session in linked if not session.closing), key=lambda other: other.account.held)
        if largest.account.held < MUCH_MORE * (account.held + size):
            return False
        assert largest.session is not None
        largest.session.kick(
            "resource_exhausted", "this server holds too much for this client, and others want some of it"
        )
        return True

    def departed(self, sender: Sender) -> None:
        """The client's link has ended; remember the client for a while."""
        sender.session = None
        self._departed[sender.client] = None
        if len(self._departed) > self._limits.departed_clients:
            self._forget_departed()

    def _forget_departed(self) -> None:
        """The one that has been gone the longest."""
        oldest = next(iter(self._departed))
        del self._departed[oldest]
        self._senders.pop(oldest).forget_answers()
