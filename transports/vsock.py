"""Dial and listen on AF_VSOCK: the sockets between a VM and its host.

For agents in a real VM, from its host, and for our guest inside one. VMMs that map vsock to a unix socket:
`transports.hybrid`.
"""

from __future__ import annotations

import errno
import os
import socket
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import trio

from transports.address import ANY_CID
from transports.errors import AddressError, AddressInUse, Exhausted, Unreachable
from transports.stream import BACKLOG, SocketStream, serve_accepted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from transports.base import Dialer

__all__ = ["VSOCK", "Family", "open_vsock", "serve_vsock", "vsock_dialer"]

# not worth retrying
_WRONG_ADDRESS = frozenset({errno.EACCES, errno.EPERM, errno.EINVAL})
# who may connect: the host; and this machine itself, when the listener is bound to the local address
_HOST_CID, _LOCAL_CID = 2, 1


def open_vsock() -> socket.socket:
    """An unconnected socket. Raises: AddressError if this kernel has no vsock, Exhausted if no descriptor is left."""
    try:
        return socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise Exhausted(f"a vsock can't be opened: {error.strerror}") from error
        raise AddressError(
            f"this kernel has no vsock: {error.strerror}; load vsock, or use hvsock:// or unix://"
        ) from error


class Family(NamedTuple):
    """How to open a socket, and how to encode its address; tests replace `VSOCK`."""

    open: Callable[[], socket.socket]
    name: Callable[[int, int], tuple[int, int] | str]


def _kernel_name(cid: int, port: int) -> tuple[int, int]:
    return cid, port


VSOCK = Family(open_vsock, _kernel_name)


def vsock_dialer(cid: int, port: int, *, family: Family = VSOCK) -> Dialer:
    """A dialer of `port` of the machine `cid`. One call is one attempt, bounded by the kernel (2 s) as well.

    The dialer raises:
        Unreachable: no such machine, or nobody listens there (yet).
        AddressError: it can't be dialled.

    Raises:
        AddressError: the wildcard address can't be dialled.
    """
    if cid == ANY_CID:
        raise AddressError("vsock://-1 is every address of this machine: listen there, and dial a machine's own number")

    async def dial() -> SocketStream:
        await trio.lowlevel.checkpoint()
        sock = family.open()
        try:
            try:
                sock.connect(family.name(cid, port))
            except BlockingIOError:
                await trio.lowlevel.wait_writable(sock)
                failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if failed:
                    raise OSError(failed, os.strerror(failed)) from None
        except OSError as error:
            sock.close()
            if error.errno in _WRONG_ADDRESS:
                raise AddressError(f"vsock://{cid}:{port} can't be dialled: {error.strerror}") from error
            raise Unreachable(f"nobody answers on vsock://{cid}:{port}: {error.strerror}") from error
        except BaseException:
            sock.close()
            raise
        return SocketStream(sock)

    return dial


async def serve_vsock(
    cid: int,
    port: int,
    handler: Callable[[SocketStream], Awaitable[object]],
    *,
    family: Family = VSOCK,
    admit: Callable[[socket.socket], bool] | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Listen until cancelled; each peer gets its own task, see `transports.stream.serve_unix`.

    vsock has no user credentials. Only the host (context id 2) may connect, as with agents in VMs; a listener bound
    to the local address (1) serves any process of this machine.

    Raises:
        AddressError: this machine has no such address, or no vsock.
        AddressInUse: the address has a listener already.
    """
    sock = family.open()
    name = f"vsock://{-1 if cid == ANY_CID else cid}:{port}"
    try:
        sock.bind(family.name(cid, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(f"somebody answers on {name} already; stop it or choose another port") from error
        raise AddressError(
            f"{name} can't be listened on: {error.strerror}; -1 is every address of this machine, and 1 its own "
            "where the kernel has vsock_loopback"
        ) from error

    await serve_accepted(sock, handler, name, admit=admit or partial(from_host, cid), task_status=task_status)


def from_host(listening_cid: int, peer: socket.socket) -> bool:
    """Whether an accepted peer may stay; False if it is already gone."""
    try:
        peer_cid: int = peer.getpeername()[0]
    except OSError:
        return False
    return admits(listening_cid, peer_cid)


def admits(listening_cid: int, peer_cid: int) -> bool:
    """Whether a listener at `listening_cid` admits a peer: the host, or this machine if bound to the local address."""
    return peer_cid == _HOST_CID or (listening_cid == _LOCAL_CID and peer_cid == _LOCAL_CID)
