"""A raw nng socket without nng: what a test puts in is received, what is sent is kept. Readable like the real one."""

from __future__ import annotations

import socket
from collections import deque
from typing import TYPE_CHECKING, Self

from transports.nng.frames import decode_frame

if TYPE_CHECKING:
    from transports.nng.frames import Frame


class QueuedSocket:
    """Both of `RawRep` and `RawReq`, whose calls differ by the pipe."""

    def __init__(self) -> None:
        self._here, self._there = socket.socketpair()
        self._inbound: deque[tuple[int, bytes]] = deque()
        # whether it takes what is sent: nng does not, to a peer that has gone
        self.takes = True
        self.sent: list[tuple[int, Frame]] = []
        self.closed_pipes: list[int] = []
        self.recv_fd = self._here.fileno()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._here.close()
        self._there.close()

    def put(self, pipe: int, *bodies: bytes) -> None:
        """These came from that peer."""
        if bodies and not self._inbound:
            self._there.send(b"!")
        self._inbound += [(pipe, body) for body in bodies]

    def receive(self) -> tuple[int, bytes] | None:
        if not self._inbound:
            return None
        first = self._inbound.popleft()
        if not self._inbound:
            self._here.recv(1)
        return first

    def send(self, *pipe_and_body: object) -> bool:
        *pipe, body = pipe_and_body
        assert isinstance(body, bytes)
        number = pipe[0] if pipe else 0
        assert isinstance(number, int)
        if self.takes:
            self.sent.append((number, decode_frame(body)))
        return self.takes

    def close_pipe(self, pipe: int) -> None:
        self.closed_pipes.append(pipe)

    def sent_to(self, pipe: int) -> list[Frame]:
        return [frame for number, frame in self.sent if number == pipe]
