"""A queue of frames to send, for implementations of `transports.calls.connection.Outgoing`. Writing them is in `writer`."""

from __future__ import annotations

__all__ = ["OutgoingFrames"]


class OutgoingFrames:
    """A queue of frames; the owner bounds it.

    Attributes:
        outgoing_bytes: queued and not yet taken by `data_to_send`; excludes data waiting for a flow-control window. No
            property, as it is looked at several times for each call.
    """

    def __init__(self) -> None:
        self._outgoing: list[bytes] = []
        self.outgoing_bytes = 0

    @property
    def outgoing_frames(self) -> int:
        """Frames queued and not yet taken by `data_to_send`; frames queued together count as one."""
        return len(self._outgoing)

    def data_to_send(self) -> bytes:
        """Take everything that is queued, in order; empty when nothing is."""
        outgoing = self._outgoing
        data = outgoing[0] if len(outgoing) == 1 else b"".join(outgoing)
        outgoing.clear()
        self.outgoing_bytes = 0
        return data

    def _queue(self, frame: bytes) -> None:
        self._outgoing.append(frame)
        self.outgoing_bytes += len(frame)
