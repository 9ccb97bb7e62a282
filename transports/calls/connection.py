"""The interface of a protocol for unary calls: its two sides without I/O, and their events.

Run by `client` and `server`; implemented by `transports.ttrpc` and `transports.grpc`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transports.errors import TransportError, Unreachable

__all__ = ["Called", "CallingConnection", "Outgoing", "Replied", "Request", "ServingConnection"]


class Request(NamedTuple):
    """A call as the server sees it; `timeout_nano` counts from receipt, 0 means none."""

    service: str
    method: str
    payload: bytes
    timeout_nano: int
    metadata: tuple[tuple[str, str], ...]


class Called(NamedTuple):
    """Server: a call to serve; answer it with one `send_reply` or `send_status`, even if the client has since violated
    the protocol on it."""

    stream_id: int
    request: Request


class Replied(NamedTuple):
    """Client: the reply to one call; `payload` is valid only when `code` is 0."""

    stream_id: int
    code: int
    message: str
    payload: bytes
    details: tuple[bytes, ...] = ()


class Outgoing(Protocol):
    """Data waiting to be sent."""

    @property
    def outgoing_bytes(self) -> int:
        """Bytes queued and not yet taken by `data_to_send`."""
        ...

    @property
    def outgoing_frames(self) -> int:
        """Frames queued and not yet taken by `data_to_send`."""
        ...

    def data_to_send(self) -> bytes:
        """Take everything that is queued, in order; empty when nothing is."""
        ...


class CallingConnection(Outgoing, Protocol):
    """The calling side."""

    @property
    def failure(self) -> TransportError | None:
        """Why to close the connection; sticky."""
        ...

    @property
    def leaving(self) -> Unreachable | None:
        """Why the server accepts no more calls, though it still answers those in progress."""
        ...

    @property
    def busy(self) -> bool:
        """No call can be started now; check again after receiving data."""
        ...

    @property
    def dropped_replies(self) -> int:
        """Replies that arrived after their caller gave up, or that match no call."""
        ...

    def send_request(self, service: str, method: str, payload: bytes, timeout_nano: int = 0) -> int:
        """Queue one call and return its stream id.

        Raises:
            MessageTooLarge, LocalProtocolError, Unreachable: nothing was queued.
        """
        ...

    @property
    def lacking(self) -> int:
        """Bytes still missing from the partly received frame; 0 between frames."""
        ...

    def forget(self, stream_id: int) -> None:
        """The caller gave up. Any message to the peer is queued, but nothing is sent here."""

    def receive_data(self, data: bytes) -> Sequence[Replied]:
        """Take bytes from the server; return the replies that they complete. Then check `failure`."""
        ...


class ServingConnection(Outgoing, Protocol):
    """The answering side."""

    @property
    def failure(self) -> TransportError | None:
        """Why to close the connection once queued data is sent; sticky."""
        ...

    @property
    def busy(self) -> bool:
        """Too many replies are queued for the client; check again after receiving data."""
        ...

    @property
    def calls(self) -> int:
        """Calls handed out by `receive_data` and not answered yet."""
        ...

    def receive_data(self, data: bytes) -> Sequence[Called]:
        """Take bytes from the client; return the calls that they complete. Rejections are queued here."""
        ...

    @property
    def unfinished(self) -> tuple[int, int]:
        """Bytes held of incomplete messages, and a number that identifies the oldest such message."""
        ...

    def end(self, why: str) -> None:
        """Start closing: sets `failure`, and tells the client as far as the protocol can."""

    @property
    def takes_back(self) -> bool:
        """Whether a client of this protocol can cancel a call."""
        ...

    def taken_back(self) -> Sequence[int]:
        """Calls that the client cancelled since the last query; each still takes its one reply, which is dropped."""
        ...

    def send_reply(self, stream_id: int, payload: bytes) -> None:
        """Queue the reply to a call; dropped if the client has violated the protocol on it."""

    def send_status(self, stream_id: int, code: int, message: str, details: tuple[bytes, ...] = ()) -> None:
        """Queue an error as the reply to a call; dropped if the client has violated the protocol on it."""
