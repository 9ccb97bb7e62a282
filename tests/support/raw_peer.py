"""A peer of an nng server that sends whatever bytes it likes, for the tests of hostile requests.

A raw REQ socket by hand: no credit, no acks, no goodbye, unless the test sends them. Not for polite clients.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import trio

from tests.support.foreign import packb, unpackb
from transports.nng.sockets import RawReq

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["DATA", "HELLO_FRAME", "RawPeer", "a_raw_peer", "frame_of", "hello"]

DATA, HELLO, BYE = 0, 1, 4
POLL_SECONDS = 0.005


def frame_of(kind: int, acked: int, *messages: bytes) -> bytes:
    """The bytes of one frame."""
    return packb([kind, acked, list(messages)])


HELLO_FRAME = frame_of(HELLO, 0, b"katrio/1")


def hello(client: str = "raw") -> bytes:
    """The envelope; its epoch is fixed, so one name is good for one link after the other."""
    return packb(["hello", [1], client, 1, 1])


class RawPeer:
    """One connection."""

    def __init__(self, address: str) -> None:
        self._socket = RawReq()
        self._gone = False
        # what the server's side said, in envelopes
        self.heard: list[list[object]] = []
        self.frames: list[list[object]] = []
        self._owed = 0
        self._socket.on_pipe_removed(self._removed)
        self._socket.dial(address)

    def _removed(self, _pipe: int) -> None:
        self._gone = True

    @property
    def gone(self) -> bool:
        """Whether the server has cut us off."""
        return self._gone

    def send_frame(self, body: bytes) -> None:
        """One nng message, exactly these bytes."""
        assert self._socket.send(body), "nng's queue is full"

    def send(self, *envelopes: bytes) -> None:
        """One DATA frame of these envelopes."""
        self.send_frame(frame_of(DATA, 0, *envelopes))

    def ack(self) -> None:
        """Ack what was taken, as a polite client would."""
        self.send_frame(frame_of(DATA, self._owed))
        self._owed = 0

    def try_to_send(self, *envelopes: bytes) -> None:
        """The same, when nng takes it now."""
        self._socket.send(frame_of(DATA, 0, *envelopes))

    def join(self, client: str = "raw") -> None:
        """Say both hellos."""
        self.send_frame(HELLO_FRAME)
        self.send(hello(client))

    def drain(self) -> None:
        """Take what has come."""
        while (received := self._socket.receive()) is not None:
            frame = cast("list[object]", unpackb(received[1]))
            self.frames.append(frame)
            if frame[0] == DATA:
                self._owed += bool(frame[2])
                self.heard.extend(cast("list[object]", unpackb(message)) for message in cast("list[bytes]", frame[2]))
            elif frame[0] == BYE:
                self.send_frame(frame_of(BYE, 0))

    async def until_gone(self, seconds: float = 10) -> None:
        """Until the server has cut us off; what it said before is in `heard`."""
        with trio.fail_after(seconds):
            while not self._gone:
                self.drain()
                await trio.sleep(POLL_SECONDS)
        self.drain()

    async def until_heard(self, tag: str, counter: object = None, seconds: float = 10) -> list[object]:
        """The first envelope of that kind, about that ask."""
        with trio.fail_after(seconds):
            while True:
                self.drain()
                for envelope in self.heard:
                    if envelope[0] == tag and counter in {None, envelope[1]}:
                        return envelope
                assert not self._gone, f"cut off; heard {self.heard}"
                await trio.sleep(POLL_SECONDS)

    def close(self) -> None:
        """Without a goodbye."""
        self._socket.close()


@contextmanager
def a_raw_peer(address: str) -> Generator[RawPeer]:
    """One that is closed in the end."""
    peer = RawPeer(address)
    try:
        yield peer
    finally:
        peer.close()
