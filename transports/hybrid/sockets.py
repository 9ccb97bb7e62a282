"""Dial and listen on hybrid vsock: the CONNECT/OK handshake over a unix socket.

`hybrid_dialer` is for a host; `serve_hybrid` plays both VMM and guest, for a guest that is no VM. Guests that dial
their host are not supported.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import trio

from transports.errors import RemoteProtocolError, Unreachable
from transports.hybrid.handshake import FIRST_LOCAL_PORT, DialHandshake, ListenHandshake
from transports.stream import serve_unix, unix_dialer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from transports.base import Dialer
    from transports.stream import SocketStream

__all__ = ["HANDSHAKE_SECONDS", "hybrid_dialer", "serve_hybrid"]

# a VMM answers once its guest's kernel does, which may be late in boot; today's clients wait as long
HANDSHAKE_SECONDS = 10.0


def hybrid_dialer(path: str, port: int) -> Dialer:
    """A dialer of `port` in the VM whose VMM listens on the unix socket `path`. One call is one attempt.

    The dialer raises:
        Unreachable: nobody answers on the socket, or on the VM's port, or in time.
        AddressError: see `unix_dialer`.
        RemoteProtocolError: the peer is not a VMM.
    """
    dial_vmm = unix_dialer(path)

    async def dial() -> trio.abc.Stream:
        stream = await dial_vmm()
        handshake = DialHandshake(port)
        try:
            with trio.move_on_after(HANDSHAKE_SECONDS):
                await stream.send_all(handshake.data_to_send())
                while not handshake.done:
                    handshake.receive_byte(bytes(await stream.receive_some(1)))
                return stream
            raise Unreachable(f"{path}: no answer to CONNECT {port} within {HANDSHAKE_SECONDS:g} s")
        except trio.BrokenResourceError as error:
            await trio.aclose_forcefully(stream)
            raise Unreachable(f"{path}: the VMM closed the connection before OK") from error
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise

    return dial


async def serve_hybrid(
    path: str,
    handlers: Mapping[int, Callable[[SocketStream], Awaitable[object]]],
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Listen on `path` until cancelled; a peer that requests a port in `handlers` is passed to that handler.

    OK is sent before the handler can send anything. A peer that requests another port, or sends no CONNECT, is closed.

    Raises: as `transports.stream.serve_unix`.
    """
    local_ports = itertools.count(FIRST_LOCAL_PORT)

    async def serve_peer(stream: SocketStream) -> None:
        handshake = ListenHandshake()
        port: int | None = None
        with trio.move_on_after(HANDSHAKE_SECONDS):
            try:
                while port is None:
                    port = handshake.receive_byte(await stream.receive_some(1))
                if port in handlers:
                    await stream.send_all(handshake.accepted(next(local_ports)))
            except (RemoteProtocolError, trio.BrokenResourceError):
                return
        handler = None if port is None else handlers.get(port)
        if handler is not None:
            await handler(stream)

    await serve_unix(path, serve_peer, task_status=task_status)
