"""Who may stand behind the socket file of an nng transport.

Not for what an address may look like: `transports.address`. It refuses tcp: a root process that listens there would
hand its containers to anybody, so it stays refused until there is mutual TLS.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from transports.errors import AddressError, AddressInUse

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["bound_socket_file", "socket_file"]


def socket_file(address: str) -> str | None:
    """The path of an ipc address, None for others."""
    return address.removeprefix("ipc://") if address.startswith("ipc://") else None


@contextmanager
def bound_socket_file(path: str) -> Generator[None]:
    """Bind `path` inside this: nobody else does meanwhile, a stale file is out of the way, and the new one is 0600.

    A directory that is missing is made, 0700.

    Raises:
        AddressError: its directory is not ours alone, or something else than a socket is there.
        AddressInUse: somebody answers there.
    """
    directory = os.path.dirname(path)
    _check_way_to(directory)
    try:
        with suppress(FileExistsError):
            os.mkdir(directory, 0o700)
        # a link could be pointed elsewhere between this look and the bind
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise AddressError(f"{directory} must be a directory and no link to one: {error.strerror}") from error
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise AddressError(f"{directory} must be ours alone: chown it to uid {os.geteuid()} and chmod it 700")
        # two that start at once must not each take the other's new file for a stale one
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _remove_stale(path)
        yield
        os.chmod(path, 0o600)
    finally:
        os.close(descriptor)


def _check_way_to(directory: str) -> None:
    """Refuse a directory that somebody else could rename, and put another in its place."""
    way: str = os.path.realpath(os.path.dirname(directory))
    while True:
        try:
            found = os.stat(way)
        except OSError as error:
            raise AddressError(f"the directory {way} can't be used: {error.strerror}") from error
        # with the sticky bit others may make files there, but not rename ours
        loose = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
        if loose or found.st_uid not in {0, os.geteuid()}:
            raise AddressError(f"{way}, on the way to {directory}, can be changed by others; choose another place")
        if way == "/":
            return
        way = os.path.dirname(way)


def _remove_stale(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise AddressError(f"{path} is there and is no socket; remove it, or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except BlockingIOError:
            # its queue of connections is full: somebody owns it, however busy
            raise AddressInUse(f"somebody listens on {path} already") from None
        else:
            raise AddressInUse(f"somebody listens on {path} already")
