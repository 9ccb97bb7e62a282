"""The nng transport: listen and dial, and the sockets' lifetime.

See `transports.base.Transport`. Frames and credit are in `endpoint` and `window`.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from transports.address import parse_mailbox_address
from transports.errors import LocalProtocolError, Unreachable
from transports.nng.endpoint import Heartbeat
from transports.nng.link import NngLink
from transports.nng.listener import NngListener
from transports.nng.sockets import RawRep, RawReq, limit_threads
from transports.nng.window import CREDIT
from transports.socket_files import bound_socket_file

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from transports.base import Endpoint, Listener, Receiver

__all__ = ["NngTransport"]

IPC = "ipc://"
MESSAGE_BYTES = 64 * 1024
# connect(2) and nng's handshake, in case a program accepts and stays silent
DIAL_SECONDS = 5.0


class NngTransport:
    """`inproc://NAME` and `ipc:///path`.

    Args:
        message_bytes: the largest message, at most 64 KiB.
        credit: un-acked frames per connection and direction, 1 to 32; both ends must have the same.
        heartbeat: when a silent peer is pinged and given up.
    """

    def __init__(
        self, *, message_bytes: int = MESSAGE_BYTES, credit: int = CREDIT, heartbeat: Heartbeat | None = None
    ) -> None:
        if not 0 < message_bytes <= MESSAGE_BYTES:
            raise LocalProtocolError(f"message_bytes={message_bytes}: expected 1 to {MESSAGE_BYTES}")
        if not 0 < credit <= CREDIT:
            raise LocalProtocolError(f"credit={credit}: expected 1 to {CREDIT}")
        limit_threads()
        self._message_bytes = message_bytes
        self._credit = credit
        self._heartbeat = heartbeat or Heartbeat()

    async def serve(
        self, address: str, accept: Callable[[Endpoint], Receiver], *, task_status: trio.TaskStatus[Listener]
    ) -> None:
        """See `transports.base.Transport`; cancelling breaks the links of all peers."""
        parse_mailbox_address(address)
        await trio.lowlevel.checkpoint()
        socket = RawRep()
        listener = NngListener(
            address,
            socket,
            accept,
            message_bytes=self._message_bytes,
            credit=self._credit,
            heartbeat=self._heartbeat,
        )
        socket.on_pipe_removed(_from_nng_thread(listener.pipe_removed))
        socket.on_pipe_added(_from_nng_thread(listener.pipe_added))
        try:
            async with _listening(socket, address):
                task_status.started(listener)
                await listener.run()
        finally:
            await _close(socket)

    async def connect(self, address: str, receiver: Receiver, *, task_status: trio.TaskStatus[Endpoint]) -> None:
        """See `transports.base.Transport`; cancelling breaks the link."""
        parse_mailbox_address(address)
        socket = RawReq()
        link = NngLink(
            address,
            socket,
            receiver,
            message_bytes=self._message_bytes,
            credit=self._credit,
            heartbeat=self._heartbeat,
        )
        socket.on_pipe_removed(_from_nng_thread(link.pipe_removed))
        try:
            await _dial(socket, address)
            await link.run(task_status=task_status)
        finally:
            await _close(socket)


@asynccontextmanager
async def _listening(socket: RawRep, address: str) -> AsyncGenerator[None]:
    path = address.removeprefix(IPC)
    if path == address:
        socket.listen(address)
        yield
        return
    # whoever can open the file has all rights of the serving program
    async with bound_socket_file(path, lambda new: socket.listen(f"{IPC}{new}"), guard_way=True):
        yield


async def _dial(socket: RawReq, address: str) -> None:
    with trio.move_on_after(DIAL_SECONDS) as scope:
        # an abandoned dial ends when the caller closes the socket, which it does next
        await trio.to_thread.run_sync(socket.dial, address, abandon_on_cancel=True)
    if scope.cancelled_caught:
        raise Unreachable(f"{address} is there and does not answer within {DIAL_SECONDS} s")


def _from_nng_thread(callback: Callable[[int], None]) -> Callable[[int], None]:
    """Run `callback` in the current Trio run, from any thread; a no-op once that run has ended."""
    token = trio.lowlevel.current_trio_token()

    def call(pipe: int) -> None:
        try:
            token.run_sync_soon(callback, pipe)
        except trio.RunFinishedError:
            return

    return call


async def _close(socket: RawRep | RawReq) -> None:
    trio.lowlevel.notify_closing(socket.recv_fd)
    with trio.CancelScope(shield=True):
        # blocks up to a third of a second with thousands of pipes
        await trio.to_thread.run_sync(socket.close)
