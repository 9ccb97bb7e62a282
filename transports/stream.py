"""Byte streams over kernel sockets: dial and listen on unix sockets.

Agent connections are `trio.abc.Stream`s. OS errors of dialling and listening become `transports.errors` here; an open
stream raises `trio.abc.Stream`'s own errors, which its protocol (e.g. `transports.ttrpc`) maps. Choosing the kind of
socket is in `transports.agent_sockets`.
"""

from __future__ import annotations

import errno
import operator
import os
import socket
import struct
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from transports.address import check_socket_path
from transports.base import NowaitStream
from transports.errors import AddressError, AddressInUse, Exhausted, Refused, Unreachable
from transports.socket_files import bound_socket_file, no_socket

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from transports.base import Dialer

__all__ = ["BACKLOG", "SocketStream", "dial_with_backoff", "serve_accepted", "serve_unix", "unix_dialer"]

# accept backlog; the kernel caps it at net.core.somaxconn, whose default this is. When it is full, connect on a unix
# socket does not block but fails with EAGAIN, which most dialers don't expect
BACKLOG = 4096
# size of one read: trio's default, doubled while reads come back full
RECEIVE_BYTES = 64 * 1024
MOST_RECEIVE_BYTES = 256 * 1024
FIRST_PAUSE_SECONDS = 0.010
LONGEST_PAUSE_SECONDS = 0.250

# accept ran out of a resource; the listener itself is fine
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_REFUSED = frozenset({errno.ENOENT, errno.ECONNREFUSED})
# not worth retrying: the address itself is wrong
_WRONG_ADDRESS = frozenset({errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP, errno.EPROTOTYPE})


class SocketStream(NowaitStream):
    """A connected socket (unix, vsock) as a stream; errors are `trio.abc.Stream`'s own.

    Differs from trio's socket stream: has `send_nowait`, and does not try to receive before the kernel reports data,
    which saves a failing system call per message when messages come one by one.
    """

    def __init__(self, sock: socket.socket) -> None:
        """Takes ownership of `sock`: connected, SOCK_STREAM."""
        sock.setblocking(False)
        self._socket = sock
        self._sending = False
        self._receive_bytes = RECEIVE_BYTES

    def send_nowait(self, data: bytes) -> int:
        """See `NowaitStream`."""
        if self._sending:
            raise trio.BusyResourceError("another task sends on this stream")
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._failed(error) from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data`, waiting for room. See `trio.abc.SendStream`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._sending:
            raise trio.BusyResourceError("another task sends on this stream")
        self._check_open()
        self._sending = True
        try:
            with memoryview(data) as rest:
                await self._send(rest)
        finally:
            self._sending = False
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def _send(self, data: memoryview) -> None:
        sent, size = 0, len(data)
        while sent < size:
            try:
                sent += self._socket.send(data[sent:])
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket)
            except OSError as error:
                raise self._failed(error) from error

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room. See `trio.abc.SendStream`."""
        self._check_open()
        if self._sending:
            raise trio.BusyResourceError("another task sends on this stream")
        await trio.lowlevel.wait_writable(self._socket)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next bytes, at most `max_bytes`; empty at end of stream. See `trio.abc.ReceiveStream`."""
        size = self._receive_bytes if max_bytes is None else operator.index(max_bytes)
        if size < 1:
            raise ValueError("max_bytes must be at least 1")
        self._check_open()
        while True:
            try:
                await trio.lowlevel.wait_readable(self._socket)
                data = self._socket.recv(size)
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._failed(error) from error
            if max_bytes is None:
                self._receive_bytes = MOST_RECEIVE_BYTES if len(data) == size else RECEIVE_BYTES
            return data

    async def aclose(self) -> None:
        """Close it; tasks waiting on it get `ClosedResourceError`. Idempotent."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
        await trio.lowlevel.checkpoint()

    def _check_open(self) -> None:
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError("this stream was closed")

    def _failed(self, error: Exception) -> Exception:
        if self._socket.fileno() < 0:
            return trio.ClosedResourceError("this stream was closed")
        return trio.BrokenResourceError(f"the socket broke: {error}")


def unix_dialer(path: str) -> Dialer:
    """A dialer of the unix socket at `path` (absolute, or `@name` in the abstract namespace). One call is one attempt.

    The dialer raises:
        Refused: no file, or no listener on it (yet).
        Unreachable: its backlog is full.
        AddressError: the path exists and can't be dialled (permissions, not a stream socket).
        Exhausted: no file descriptor is left.

    Raises:
        AddressError: not a valid unix socket path.
    """
    if not path.startswith("@"):
        check_socket_path(path)

    async def dial() -> SocketStream:
        await trio.lowlevel.checkpoint()
        return SocketStream(_connect(path))

    return dial


async def dial_with_backoff(
    dialer: Dialer,
    *,
    seconds: float,
    first_pause: float = FIRST_PAUSE_SECONDS,
    longest_pause: float = LONGEST_PAUSE_SECONDS,
) -> trio.abc.Stream:
    """Dial with retries for at most `seconds`; pauses double from `first_pause` to `longest_pause`.

    Raises:
        Unreachable: the last attempt's, once another pause would exceed `seconds`, or an attempt does.
        TransportError: any other error of the dialer, at once.
    """
    end = trio.current_time() + seconds
    pause = first_pause
    last = Unreachable(f"nobody answered within {seconds:g} s")
    with trio.move_on_at(end):
        while True:
            try:
                return await dialer()
            except Unreachable as error:
                last = error
            if trio.current_time() + pause > end:
                break
            await trio.sleep(pause)
            pause = min(2 * pause, longest_pause)
    raise last


async def serve_unix(
    path: str,
    handler: Callable[[SocketStream], Awaitable[object]],
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Listen on `path` until cancelled; each peer gets its own task, which runs `handler(stream)`.

    The socket file has mode 0600; its directory must be ours, with mode 0700, and is created if missing. A file without
    a listener is replaced; ours is removed on exit. An abstract `@name` has no file and no mode: peers of users other
    than ours and root are closed. A handler owns its stream; an exception from it ends the listener. `task_status` is
    given the path once peers can dial it.

    Raises:
        AddressError: not usable as a socket path.
        AddressInUse: another listener is there.
    """
    if path.startswith("@"):
        await serve_accepted(_listen_abstract(path), handler, path, admit=_same_user, task_status=task_status)
        return
    check_socket_path(path)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)) as listening:
        async with bound_socket_file(path, partial(_bind, listening, path)):
            await serve_accepted(listening, handler, path, task_status=task_status)


async def serve_accepted(
    listening: socket.socket,
    handler: Callable[[SocketStream], Awaitable[object]],
    name: str,
    *,
    admit: Callable[[socket.socket], bool] | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Accept on a listening socket until cancelled, and close it; see `serve_unix`. `admit` may reject a peer."""

    async def serve_peer(peer: socket.socket) -> None:
        async with SocketStream(peer) as stream:
            if admit is None or admit(peer):
                await handler(stream)

    with closing(listening), closing(_Spare()) as spare:
        listening.setblocking(False)
        async with trio.open_nursery() as nursery:
            task_status.started(name)
            while True:
                await trio.lowlevel.wait_readable(listening)
                peer = await _accept(listening, spare)
                if peer is not None:
                    nursery.start_soon(serve_peer, peer)


class _Spare:
    """A reserve descriptor, released to accept and close a peer when none is left: else that peer would wait for ever."""

    def __init__(self) -> None:
        self._held = -1
        self.take()

    def take(self) -> None:
        """Reserve a descriptor again, if one is available."""
        if self._held < 0:
            with suppress(OSError):
                self._held = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Release it."""
        held, self._held = self._held, -1
        if held >= 0:
            os.close(held)


async def _accept(listening: socket.socket, spare: _Spare) -> socket.socket | None:
    """A peer; None if it is gone or had to be refused. Raises: OSError, when the listener itself is broken."""
    try:
        peer, _ = listening.accept()
    except (BlockingIOError, ConnectionAbortedError):
        return None
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        spare.close()
        with suppress(OSError):
            listening.accept()[0].close()
        spare.take()
        await trio.sleep(FIRST_PAUSE_SECONDS)
        return None
    spare.take()
    return peer


def _connect(path: str) -> socket.socket:
    # not trio's connect: it treats EAGAIN of a full backlog as "in progress" and yields an unconnected socket
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise Exhausted(f"{path} can't be dialled: {error.strerror}") from error
    try:
        sock.connect(_name(path))
    except OSError as error:
        sock.close()
        if error.errno in _WRONG_ADDRESS:
            raise AddressError(f"{path} can't be dialled: {error.strerror}") from error
        kind = Refused if error.errno in _REFUSED else Unreachable
        raise kind(f"nobody answers on {path}: {no_socket(path) or error.strerror}") from error
    return sock


def _name(path: str) -> str:
    return "\0" + path.removeprefix("@") if path.startswith("@") else path


def _same_user(peer: socket.socket) -> bool:
    _pid, uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return uid in {0, os.geteuid()}


def _bind(sock: socket.socket, path: str, new: str) -> None:
    try:
        # before bind, so that the file never exists with a wider mode
        os.fchmod(sock.fileno(), 0o600)
        sock.bind(new)
        sock.listen(BACKLOG)
    except OSError as error:
        raise AddressError(f"{path} can't be listened on: {error.strerror}") from error


def _listen_abstract(name: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.bind(_name(name))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(f"somebody answers on {name} already; stop it or choose another name") from error
        raise AddressError(f"{name} can't be listened on: {error.strerror}") from error
    return sock
