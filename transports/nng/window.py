"""What may be sent on one pipe, and when: queue, coalescing, credit. Pure: no sockets, no clock.

Theory of operation. nng drops silently what a raw REP socket can't queue (64 messages a pipe) and says yes to sends after the
peer's death, so neither its errors nor its buffers are relied on: each side counts. A message waits in `_queue`; a data frame
takes as many of the oldest as fit and counts in `_unacked` until the peer says that it has handed them on. At most `CREDIT` data
frames are un-acked. In the other direction a frame that came is `_held` until its messages are handed on, then `_owed` as an
ack, which leaves with the next frame that goes that way, or alone once a quarter of the credit is owed.

Why it can't stand still: an ack frame needs no credit, so that both sides may be out of credit and each still acks what it hands
on; a receiver that hands nothing on stops its own sender alone. One frame may be un-acked whatever all peers together hold
(`SharedBound`): its ack makes room for the rest. Senders that found the queue full are told when half of it is free (`roomy`).

Not for handshakes and heartbeats: `endpoint`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from transports.errors import EndpointBusy, MessageTooLarge, RemoteProtocolError
from transports.nng.frames import MAX_MESSAGES, Frame, Kind, encode_frame
from transports.shared_bound import SharedBound

if TYPE_CHECKING:
    from transports.shared_bound import Account

__all__ = ["BATCH_BYTES", "CREDIT", "PEERS_BYTES", "QUEUE_BYTES", "Window"]

# un-acked data frames per pipe and direction; with acks and one ping on top it stays far below nng's 64
CREDIT = 32
# messages that leave in one frame: their bytes together, unless one alone is larger
BATCH_BYTES = 64 * 1024
# what waits for credit before senders must wait
QUEUE_BYTES = 256 * 1024
QUEUE_MESSAGES = 4096
# what is queued or un-acked for all peers of one socket; over it whoever has more than an equal part waits for acks
PEERS_BYTES = 32 * 1024 * 1024


class Window:
    """One pipe's sending queue and the credit of both directions.

    Args:
        message_bytes: the largest message.
        credit: data frames that may be un-acked, 1 to 32.
        account: of what is held for all peers of the same socket, in nng and here; what is queued or un-acked is put on it.
    """

    __slots__ = (
        "_account",
        "_ack_alone",
        "_acks",
        "_credit",
        "_held",
        "_message_bytes",
        "_owed",
        "_queue",
        "_queued_bytes",
        "_sent",
        "_unacked",
    )

    def __init__(self, *, message_bytes: int, credit: int = CREDIT, account: Account | None = None) -> None:
        self._message_bytes = message_bytes
        self._account = account or SharedBound(PEERS_BYTES).account()
        # sizes of the frames that are un-acked
        self._sent: deque[int] = deque()
        self._credit = credit
        # acks wait for a frame that goes that way anyhow, but never so long that the peer runs dry
        self._ack_alone = max(1, credit // 4)
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._unacked = 0
        self._acks = 0
        # frames that came and were not handed on, and those that were and are not acked yet
        self._held = 0
        self._owed = 0

    @property
    def unacked(self) -> int:
        """Data frames that the peer has not taken, as far as we know."""
        return self._unacked

    @property
    def acks(self) -> int:
        """Of frames of ours, ever."""
        return self._acks

    @property
    def queued(self) -> int:
        """Messages that wait."""
        return len(self._queue)

    @property
    def worth_a_frame(self) -> bool:
        """Whether what waits fills a frame, or the peer may soon run dry of acks."""
        full = len(self._queue) >= MAX_MESSAGES or self._queued_bytes >= BATCH_BYTES
        return full or self._owed >= self._ack_alone

    @property
    def idle(self) -> bool:
        """Whether a message would have nothing to wait for and nobody to share a frame with."""
        return self._unacked == 0 and not self._queue

    @property
    def roomy(self) -> bool:
        """Whether waiting senders should come again: half of the queue is free."""
        return self._queued_bytes <= QUEUE_BYTES // 2 and len(self._queue) <= QUEUE_MESSAGES // 2

    def push(self, message: bytes) -> None:
        """Queue one message.

        Raises:
            MessageTooLarge, EndpointBusy.
        """
        size = len(message)
        if size > self._message_bytes:
            raise MessageTooLarge(f"{size} bytes in one message; {self._message_bytes} is the most")
        if self._queue and (
            self._queued_bytes + size > QUEUE_BYTES
            or len(self._queue) >= QUEUE_MESSAGES
            or not self._account.allows(size)
        ):
            raise EndpointBusy(f"{self._queued_bytes} bytes wait already for a peer that does not take them")
        self._queue.append(message)
        self._queued_bytes += size
        self._account.take(size)

    def next_frame(self) -> bytes | None:
        """The next frame to send, None when there is nothing or no credit. What is returned counts as sent."""
        if self._may_send():
            self._unacked += 1
            batch = self._batch()
        elif self._owed >= self._ack_alone:
            batch = []
        else:
            return None
        owed, self._owed = self._owed, 0
        frame = encode_frame(Kind.DATA, owed, batch)
        if batch:
            self._sent.append(len(frame))
            self._account.take(len(frame))
        return frame

    def _may_send(self) -> bool:
        if not self._queue or self._unacked >= self._credit:
            return False
        # one frame may always be under way: its ack makes room
        return not self._unacked or self._account.allows(0)

    def control(self, kind: Kind) -> bytes:
        """A frame outside the credit, with what we owe; the kind's own message if it has one."""
        owed, self._owed = self._owed, 0
        return encode_frame(kind, owed, [])

    def take(self, frame: Frame) -> None:
        """Account for a frame that came; its messages are acked once they are `handed_on`.

        Raises:
            RemoteProtocolError: it acks what was never sent, or comes without credit.
        """
        if frame.acked:
            self._unacked -= frame.acked
            if self._unacked < 0:
                raise RemoteProtocolError(f"{frame.acked} frames acked, {self._unacked + frame.acked} were sent")
            self._acks += frame.acked
            for _ in range(frame.acked):
                self._account.take(-self._sent.popleft())
        if frame.messages:
            if frame.kind is not Kind.DATA:
                raise RemoteProtocolError(f"a {frame.kind.name} frame with messages")
            self._held += 1
            if self._held + self._owed > CREDIT:
                raise RemoteProtocolError(f"more than {CREDIT} frames sent without credit")

    def handed_on(self) -> None:
        """The receiver has the messages of the oldest frame that came: the peer may send another."""
        self._held -= 1
        self._owed += 1

    def close(self) -> None:
        """Nothing is sent or acked any more: what was held is given back."""
        self._account.take(-sum(self._sent) - self._queued_bytes)
        self._sent.clear()
        self._queue.clear()
        self._queued_bytes = 0

    def _batch(self) -> list[bytes]:
        queue = self._queue
        batch = [queue.popleft()]
        size = len(batch[0])
        while queue and len(batch) < MAX_MESSAGES and size + len(queue[0]) <= BATCH_BYTES:
            size += len(queue[0])
            batch.append(queue.popleft())
        self._queued_bytes -= size
        self._account.take(-size)
        return batch
