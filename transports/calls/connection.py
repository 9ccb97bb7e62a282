"""The port of a protocol that carries unary calls: its two sides without I/O, and what they tell.

For `client` and `server`, which run any of them, and for `transports.ttrpc` and `transports.grpc`, which implement it.
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
    """Server: a call to serve; it takes one `send_reply` or `send_status`, even when the client has spoiled it since."""

    stream_id: int
    request: Request


class Replied(NamedTuple):
    """Client: the answer to one call; `payload` counts only when `code` is 0."""

    stream_id: int
    code: int
    message: str
    payload: bytes
    details: tuple[bytes, ...] = ()


class Outgoing(Protocol):
    """What waits to be sent."""

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
        """Why the connection is to be closed; sticky."""
        ...

    @property
    def leaving(self) -> Unreachable | None:
        """Why the server takes no more calls, while it still answers those that it has."""
        ...

    @property
    def busy(self) -> bool:
        """No call can be begun now; look again when something was received."""
        ...

    @property
    def dropped_replies(self) -> int:
        """Replies that came after their caller had given up, or to nobody."""
        ...

    def send_request(self, service: str, method: str, payload: bytes, timeout_nano: int = 0) -> int:
        """Queue one call and return its stream id.

        Raises:
            MessageTooLarge, LocalProtocolError, Unreachable: nothing was queued.
        """
        ...

    @property
    def lacking(self) -> int:
        """Bytes that the frame still lacks in whose midst what was received ends; 0 between frames."""
        ...

    def forget(self, stream_id: int) -> None:
        """The caller gave up. What the protocol has to say of it is queued, but nothing is sent here."""

    def receive_data(self, data: bytes) -> Sequence[Replied]:
        """Take bytes from the server; return the answers that they complete. Then look at `failure`."""
        ...


class ServingConnection(Outgoing, Protocol):
    """The answering side."""

    @property
    def failure(self) -> TransportError | None:
        """Why the connection is to be closed once the rest is sent; sticky."""
        ...

    @property
    def busy(self) -> bool:
        """Too many replies wait for the client; look again when something was received."""
        ...

    @property
    def calls(self) -> int:
        """Calls that were returned and neither replied to nor failed yet."""
        ...

    def receive_data(self, data: bytes) -> Sequence[Called]:
        """Take bytes from the client; return the calls that they complete. Refusals are queued here."""
        ...

    @property
    def unfinished(self) -> tuple[int, int]:
        """Bytes held of messages that are not complete, and a number of the oldest of them, another for each."""
        ...

    def end(self, why: str) -> None:
        """It is to be closed: `failure` is set, and the client told, as far as the protocol has words for it."""

    @property
    def takes_back(self) -> bool:
        """Whether a client of this protocol can give up a call, and say so."""
        ...

    def taken_back(self) -> Sequence[int]:
        """Calls that the client gave up since the last look; each still takes its one reply, which is dropped."""
        ...

    def send_reply(self, stream_id: int, payload: bytes) -> None:
        """Queue the answer to a call. To a spoiled call: dropped."""

    def send_status(self, stream_id: int, code: int, message: str, details: tuple[bytes, ...] = ()) -> None:
        """Queue a failure as the answer to a call. To a spoiled call: dropped."""
