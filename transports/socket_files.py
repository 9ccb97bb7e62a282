"""Socket files: who may create one where, and who removes it. One rule for all our listeners at a path.

A listener binds under a temporary name and renames the file to its final path, under the directory's lock, which
resolves a race of two listeners and never exposes a file with a wider mode. On exit it removes the file only if it is
its own. The path can't tell that: another listener may have replaced the file. Nor can the inode number alone, which is
reused once a file is gone; so a descriptor keeps our inode alive until that check. nng unlinks the name that it bound,
which no longer exists by then.

Address syntax is in `transports.address`.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
import stat
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from typing import TYPE_CHECKING

import trio

from transports.address import SOCKET_PATH_BYTES
from transports.errors import AddressError, AddressInUse
from transports.locks import take_lock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

__all__ = ["answers", "bound_socket_file", "no_socket", "remove_stale"]

# connect(2) errors: no listener
_NOBODY = (errno.ECONNREFUSED, errno.ENOENT, errno.ENOTDIR, errno.ENOTSOCK)

# another listener holds the directory's lock for a few system calls; longer means that it hangs
LOCK_SECONDS = 5.0
LOCK_PAUSE_SECONDS = 0.010
# the same on exit, while someone waits for us; on timeout the file stays, and the next listener finds it stale
LAST_LOCK_SECONDS = 1.0
# bound but not renamed yet; one that is seen under the lock was left by a crash
PREFIX = ".katrio-"

_numbers = itertools.count(1)


@asynccontextmanager
async def bound_socket_file(path: str, bind: Callable[[str], None], *, guard_way: bool = False) -> AsyncGenerator[None]:
    """A socket file of ours at `path`, mode 0600, for the lifetime of the context.

    A missing directory is created, 0700; a file without a listener is replaced.

    Args:
        bind: binds a socket to the given path and listens.
        guard_way: reject a path whose parent directories others could replace.

    Raises:
        AddressError: the directory is not exclusively ours, or the path is not a socket.
        AddressInUse: another listener is there, or the directory's lock could not be had.
        What `bind` raises.
    """
    directory = os.path.dirname(path)
    if guard_way:
        _check_way_to(directory)
    async with _locked(directory, LOCK_SECONDS) as held:
        remove_stale(path)
        own = _bind(path, directory, held, bind)
    try:
        yield
    finally:
        with closing(_Descriptor(own)), trio.CancelScope(shield=True), suppress(AddressError, AddressInUse):
            async with _locked(directory, LAST_LOCK_SECONDS):
                _remove_own(path, own)


class _Descriptor:
    """An open descriptor for `contextlib.closing`; closing it releases its lock too."""

    def __init__(self, number: int) -> None:
        self.number = number

    def close(self) -> None:
        os.close(self.number)


@asynccontextmanager
async def _locked(directory: str, seconds: float) -> AsyncGenerator[int]:
    """A descriptor of the directory, checked to be exclusively ours, with its lock held."""
    with closing(_Descriptor(_open_directory(directory))) as held:
        await _lock(held.number, directory, seconds)
        yield held.number


def _open_directory(directory: str) -> int:
    with _as_address_error(directory), suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    try:
        # O_NOFOLLOW: a symlink could be changed between this check and the bind
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise AddressError(f"{directory} must be a directory and no link to one: {error.strerror}") from error
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        os.close(descriptor)
        raise AddressError(
            f"socket directory {directory} must be ours with mode 0700 and has owner {status.st_uid}, mode "
            f"{stat.S_IMODE(status.st_mode):04o}; use a directory made with mkdir -m 700"
        )
    return descriptor


async def _lock(descriptor: int, directory: str, seconds: float) -> None:
    with trio.move_on_after(seconds):
        while True:
            if take_lock(descriptor):
                return
            await trio.sleep(LOCK_PAUSE_SECONDS)
    raise AddressInUse(f"another process has held the lock of {directory} for {seconds:g} s")


def _check_way_to(directory: str) -> None:
    """Reject a directory that another user could rename or replace."""
    way: str = os.path.realpath(os.path.dirname(directory))
    while True:
        with _as_address_error(f"the directory {way}"):
            found = os.stat(way)
        # in a sticky directory others can create files, but not rename ours
        loose = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
        if loose or found.st_uid not in {0, os.geteuid()}:
            raise AddressError(f"{way}, on the way to {directory}, can be changed by others; choose another place")
        if way == "/":
            return
        way = os.path.dirname(way)


def remove_stale(path: str) -> None:
    """Remove a socket file without a listener; a missing file is no error.

    Raises:
        AddressInUse: it has a listener.
        AddressError: not a socket, or it can't be examined.
    """
    with _as_address_error(path):
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise AddressError(f"{path} exists and is not a socket; remove it or choose another path")
        if answers(path):
            raise AddressInUse(f"somebody answers on {path} already; stop it or choose another path")
        with suppress(FileNotFoundError):
            os.unlink(path)


def answers(name: str) -> bool:
    """Whether a unix socket, by path or abstract name, has a listener; sends nothing.

    Raises: OSError: it can't be determined.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(name)
        except BlockingIOError:
            pass  # a full backlog means a listener too
        except OSError as error:
            if error.errno not in _NOBODY:
                raise
            return False
    return True


def no_socket(path: str) -> str:
    """What is at a path that was dialled in vain, when that is no socket: connect(2) calls it refused, like a server that is gone."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return ""
    return "" if stat.S_ISSOCK(mode) else f"it is {'a directory, and ' if stat.S_ISDIR(mode) else ''}no socket"


def _bind(path: str, directory: str, held: int, bind: Callable[[str], None]) -> int:
    """Bind and rename; returns a descriptor that keeps the inode number from being reused."""
    for name in os.listdir(held):
        if name.startswith(PREFIX):
            os.unlink(name, dir_fd=held)
    name = f"{PREFIX}{os.getpid()}-{next(_numbers)}"
    new = f"{directory}/{name}"
    if len(os.fsencode(new)) > SOCKET_PATH_BYTES:
        new = f"/proc/self/fd/{held}/{name}"
    bind(new)
    with _as_address_error(path):
        own = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held)
        try:
            os.chmod(name, 0o600, dir_fd=held)
            os.rename(name, os.path.basename(path), src_dir_fd=held, dst_dir_fd=held)
        except OSError:
            os.close(own)
            raise
    return own


def _remove_own(path: str, own: int) -> None:
    with suppress(FileNotFoundError):
        if os.path.samestat(os.lstat(path), os.fstat(own)):
            os.unlink(path)


@contextmanager
def _as_address_error(what: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise AddressError(f"{what} can't be used: {error.strerror}") from error
