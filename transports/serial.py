"""A serial channel to an agent as one byte stream: a character device, or the unix socket of a VMM's chardev.

For virtio-serial ports, serial lines and pseudo terminals. A channel has one peer and no concept of connections: it is
opened once, and all its data is one stream. Several connections over it: `transports.yamux`.
"""

from __future__ import annotations

import os
import stat
import termios
import tty
from typing import TYPE_CHECKING

import trio

from transports.address import check_socket_path
from transports.errors import AddressError, Refused, Unreachable
from transports.locks import take_lock
from transports.stream import serve_unix, unix_dialer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from transports.base import Dialer
    from transports.stream import SocketStream

__all__ = ["serial_dialer", "serve_serial"]

# a device whose other end is closed reads as end of file at once: poll it, in pauses too short to notice
FIRST_PAUSE_SECONDS = 0.010
LONGEST_PAUSE_SECONDS = 1.0


def serial_dialer(path: str) -> Dialer:
    """A dialer of the channel at `path`: opens a device or connects a socket. One call is one attempt.

    The dialer raises:
        Refused: it does not exist (yet).
        Unreachable: another process has it open.
        AddressError: it is neither a device nor a socket, or can't be opened.

    Raises:
        AddressError: not a valid path.
    """
    dial_socket = unix_dialer(path)

    async def dial() -> trio.abc.Stream:
        if _is_device(path):
            await trio.lowlevel.checkpoint()
            return _open_device(path)
        return await dial_socket()

    return dial


async def serve_serial(
    path: str,
    handler: Callable[[trio.abc.Stream], Awaitable[object]],
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the guest's end of a channel until cancelled, with one peer at a time.

    A device is opened, and reopened when its peer is gone. Without one, a unix socket is created, as a VMM's chardev
    does; a second concurrent peer is closed.

    Raises: as `serial_dialer`'s dialer before it has started, and as `transports.stream.serve_unix`.
    """
    check_socket_path(path)
    try:
        device = _is_device(path)
    except Unreachable:
        device = False
    if device:
        await _serve_device(path, handler, task_status)
        return
    alone = trio.Lock()

    async def serve_peer(stream: SocketStream) -> None:
        try:
            alone.acquire_nowait()
        except trio.WouldBlock:
            return
        try:
            await handler(stream)
        finally:
            alone.release()

    await serve_unix(path, serve_peer, task_status=task_status)


async def _serve_device(
    path: str, handler: Callable[[trio.abc.Stream], Awaitable[object]], task_status: trio.TaskStatus[str]
) -> None:
    stream = _open_device(path)
    task_status.started(path)
    pause = FIRST_PAUSE_SECONDS
    while True:
        began = trio.current_time()
        async with stream:
            await handler(stream)
        lived = trio.current_time() - began
        pause = FIRST_PAUSE_SECONDS if lived > LONGEST_PAUSE_SECONDS else min(2 * pause, LONGEST_PAUSE_SECONDS)
        await trio.sleep(pause)
        stream = _open_device(path)


def _is_device(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        raise Refused(f"{path} is not there: {error.strerror}") from error
    except OSError as error:
        raise AddressError(f"{path} can't be used: {error.strerror}") from error
    if not stat.S_ISCHR(mode) and not stat.S_ISSOCK(mode):
        raise AddressError(f"{path} is neither a character device nor a socket; expected serial:/dev/ttyS1 or the like")
    return stat.S_ISCHR(mode)


def _open_device(path: str) -> trio.lowlevel.FdStream:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        # the host's end of a virtio-serial port allows one opener
        kind = Unreachable if isinstance(error, BlockingIOError) or error.errno == 16 else AddressError
        raise kind(f"{path} can't be opened: {error.strerror}") from error
    try:
        # two readers would each get parts of every frame
        if not take_lock(descriptor):
            os.close(descriptor)
            raise Unreachable(f"{path} is open already: a serial channel has one user at a time")
        if os.isatty(descriptor):
            _make_raw(descriptor)
    except (OSError, termios.error) as error:
        os.close(descriptor)
        raise AddressError(f"{path} can't be made a raw channel: {error}") from error
    return trio.lowlevel.FdStream(descriptor)


def _make_raw(descriptor: int) -> None:
    """No echo, line editing or translation, eight bits; the line settings that guests use: 115200, RTS/CTS."""
    # pending input may be the peer's first bytes: don't flush it
    tty.setraw(descriptor, termios.TCSANOW)
    settings = termios.tcgetattr(descriptor)
    settings[2] |= termios.CREAD | termios.CLOCAL | termios.CRTSCTS
    settings[4] = settings[5] = termios.B115200
    termios.tcsetattr(descriptor, termios.TCSANOW, settings)
