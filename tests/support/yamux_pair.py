"""Two sides of a yamux session without I/O, for tests of `transports.yamux`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transports.yamux.codec import Flag, Kind, encode
from transports.yamux.session import Opened, Session

if TYPE_CHECKING:
    from transports.yamux.session import Event

__all__ = ["carry", "opened", "syn"]


def carry(sender: Session, receiver: Session) -> list[Event]:
    """What one says, given to the other; what that makes of it."""
    events: list[Event] = []
    while sender.sending:
        data, _ = sender.data_to_send()
        if not data:
            break
        events += receiver.receive_data(data)
    return events


def opened() -> tuple[Session, Session, int]:
    """A client, a server, and a stream that the client opened and the server took."""
    client, server = Session(client=True, clock=lambda: 0.0), Session(client=False, clock=lambda: 0.0)
    stream = client.open()
    assert carry(client, server) == [Opened(stream)]
    assert server.accept() == stream
    assert carry(server, client) == []
    return client, server, stream


def syn(stream: int) -> bytes:
    """The frame that opens a stream."""
    return encode(Kind.WINDOW, Flag.SYN, stream, 0)
