"""Frames that wait to be sent, for whoever implements `transports.calls.connection.Outgoing`. Not for writing them: `writer`."""

from __future__ import annotations

__all__ = ["OutgoingFrames"]


class OutgoingFrames:
    """A queue of frames; what may be queued is its owner's to bound."""

    def __init__(self) -> None:
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0

    @property
    def outgoing_bytes(self) -> int:
        """Bytes queued and not yet taken by `data_to_send`; not what waits for a window."""
        return self._outgoing_bytes

    @property
    def outgoing_frames(self) -> int:
        """Frames queued and not yet taken by `data_to_send`; those that were queued together count as one."""
        return len(self._outgoing)

    def data_to_send(self) -> bytes:
        """Take everything that is queued, in order; empty when nothing is."""
        outgoing = self._outgoing
        data = outgoing[0] if len(outgoing) == 1 else b"".join(outgoing)
        outgoing.clear()
        self._outgoing_bytes = 0
        return data

    def _queue(self, frame: bytes) -> None:
        self._outgoing.append(frame)
        self._outgoing_bytes += len(frame)
