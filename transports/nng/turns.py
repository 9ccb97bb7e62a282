"""Whose messages are handed on next: the peers of one listener take turns.

What a peer sends costs the server far more when it is handed on than when it is read, and what is handed on in one scheduler
pass is waited for by everybody else's ask. So a pass hands on little: a share of each peer that has just begun
to speak, which for an ordinary ask is all of it, and one share of one of those that have more to say, in turn. A peer
that floods within its credit so costs its neighbours the time of one share in each pass, however many flood. Shares are
counted in messages and in bytes. A peer that is alone has nobody to wait for it.

Not for credit: a frame is acked when it was handed on (`endpoint`), so what waits here is bounded by that.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transports.nng.endpoint import NngEndpoint

__all__ = ["Turns"]

# one share. An ask costs some 20 us from here to its answer, and a scheduler pass some 50 by itself
SHARE_MESSAGES = 4
SHARE_BYTES = 16 * 1024
# peers that have just begun to speak, in one pass
NEW_PEERS = 8
# messages of all peers that wait for their turn; of a few peers their own credit bounds it, 2 MiB each
WAITING_BYTES = 64 * 1024 * 1024
FEW_PEERS = 32
# for a peer that is alone: what its actors answer in one frame
ALONE_MESSAGES = 64
ALONE_BYTES = 256 * 1024


class Turns:
    """Endpoints with messages that wait. Pure: whoever owns it says when a pass is."""

    def __init__(self) -> None:
        self._new: deque[NngEndpoint] = deque()
        self._old: deque[NngEndpoint] = deque()

    @property
    def waiting(self) -> bool:
        """Whether somebody has something to hand on."""
        return bool(self._new or self._old)

    @property
    def full(self) -> bool:
        """Whether so much waits that no more should be read of anybody."""
        peers = len(self._new) + len(self._old)
        if peers <= FEW_PEERS:
            return False
        return sum(endpoint.waiting_bytes for queue in (self._new, self._old) for endpoint in queue) > WAITING_BYTES

    def add(self, endpoint: NngEndpoint) -> None:
        """It has something to hand on; idempotent."""
        if not endpoint.in_turn:
            endpoint.in_turn = True
            self._new.append(endpoint)

    def take(self, *, alone: bool) -> list[NngEndpoint]:
        """One pass; who had a turn."""
        messages, size = (ALONE_MESSAGES, ALONE_BYTES) if alone else (SHARE_MESSAGES, SHARE_BYTES)
        chosen = [self._new.popleft() for _ in range(min(NEW_PEERS, len(self._new)))]
        if self._old:
            chosen.append(self._old.popleft())
        for endpoint in chosen:
            # first, as what it hands on may make more arrive
            endpoint.in_turn = False
            if endpoint.hand_on(messages, size) and not endpoint.in_turn:
                endpoint.in_turn = True
                self._old.append(endpoint)
        return chosen
