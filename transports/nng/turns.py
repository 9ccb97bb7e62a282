"""Fairness among the peers of one listener: whose messages are handed on next.

Handing a message on costs the server far more than reading it, and every request waits for what its scheduler pass
hands on. So a pass hands on little: one share for each peer that has just become active, which is all of an ordinary
request, and one share for one of the peers with a backlog, in turn. A peer that floods within its credit costs its
neighbours one share per pass, however many flood. Shares are counted in messages and in bytes. A single peer gets more,
as nobody else waits.

Bounded by credit: a frame is acked when it is handed on (`endpoint`).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transports.nng.endpoint import NngEndpoint

__all__ = ["Turns"]

# one share. A request costs some 20 us from here to its reply, and a scheduler pass some 50 by itself
SHARE_MESSAGES = 4
SHARE_BYTES = 16 * 1024
# newly active peers per pass
NEW_PEERS = 8
# received messages of all peers that are not handed on yet; with few peers their own credit bounds it, 2 MiB each
WAITING_BYTES = 64 * 1024 * 1024
FEW_PEERS = 32
# for a single peer: as many as its actors answer in one frame
ALONE_MESSAGES = 64
ALONE_BYTES = 256 * 1024


class Turns:
    """Endpoints with messages waiting. Pure: its owner calls it once per pass."""

    def __init__(self) -> None:
        self._new: deque[NngEndpoint] = deque()
        self._old: deque[NngEndpoint] = deque()

    @property
    def waiting(self) -> bool:
        """Whether any endpoint has messages waiting."""
        return bool(self._new or self._old)

    @property
    def full(self) -> bool:
        """Whether so much is waiting that no peer should be read."""
        peers = len(self._new) + len(self._old)
        if peers <= FEW_PEERS:
            return False
        return sum(endpoint.waiting_bytes for queue in (self._new, self._old) for endpoint in queue) > WAITING_BYTES

    def add(self, endpoint: NngEndpoint) -> None:
        """The endpoint has messages waiting; idempotent."""
        if not endpoint.in_turn:
            endpoint.in_turn = True
            self._new.append(endpoint)

    def take(self, *, alone: bool) -> list[NngEndpoint]:
        """Run one pass; the endpoints that had a turn."""
        messages, size = (ALONE_MESSAGES, ALONE_BYTES) if alone else (SHARE_MESSAGES, SHARE_BYTES)
        chosen = [self._new.popleft() for _ in range(min(NEW_PEERS, len(self._new)))]
        if self._old:
            chosen.append(self._old.popleft())
        for endpoint in chosen:
            # before handing on, which may cause more to arrive
            endpoint.in_turn = False
            if endpoint.hand_on(messages, size) and not endpoint.in_turn:
                endpoint.in_turn = True
                self._old.append(endpoint)
        return chosen
