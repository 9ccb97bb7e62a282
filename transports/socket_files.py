"""Socket files: who may put one where, and who takes it away again. One rule for every listener of ours at a path.

A listener binds under a name of its own and then moves the file to where peers look, under the directory's lock: two that
start at once are told apart, and a file is never there with a wider mode. At the end it takes away what is its own alone.
The path tells nothing then: somebody may have removed our file and put a new listener's there. Nor does a file's
number alone, which serves again once the file is gone; so a descriptor holds ours until that look. nng removes the name
that it bound, which by then nobody has.

Not for dialling, nor for what an address may look like (`transports.address`).
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

# of a connect(2): nobody listens there
_NOBODY = (errno.ECONNREFUSED, errno.ENOENT, errno.ENOTDIR, errno.ENOTSOCK)

# another listener holds the directory's lock for a few system calls; longer means that it hangs
LOCK_SECONDS = 5.0
LOCK_PAUSE_SECONDS = 0.010
# the same at the end, when somebody waits for us to go; the file stays then, and the next listener takes it for stale
LAST_LOCK_SECONDS = 1.0
# names that are bound and not moved yet; whatever has one while we hold the lock was left by a crash
PREFIX = ".katrio-"

_numbers = itertools.count(1)


@asynccontextmanager
async def bound_socket_file(path: str, bind: Callable[[str], None], *, guard_way: bool = False) -> AsyncGenerator[None]:
    """A socket file of ours at `path`, mode 0600, while the context lasts.

    A directory that is missing is made, 0700; a file that nobody answers on is replaced.

    Args:
        bind: binds a socket to the path it is given, and has it listen.
        guard_way: refuse a path on whose way others could put another directory.

    Raises:
        AddressError: its directory is not ours alone, or something else than a socket is there.
        AddressInUse: somebody answers there, or the directory's lock could not be had.
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
    """An open descriptor for `contextlib.closing`; closing it drops its lock too."""

    def __init__(self, number: int) -> None:
        self.number = number

    def close(self) -> None:
        os.close(self.number)


@asynccontextmanager
async def _locked(directory: str, seconds: float) -> AsyncGenerator[int]:
    """A descriptor of the directory, which is ours alone, with its lock."""
    with closing(_Descriptor(_open_directory(directory))) as held:
        await _lock(held.number, directory, seconds)
        yield held.number


def _open_directory(directory: str) -> int:
    with _as_address_error(directory), suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    try:
        # a link could be pointed elsewhere between this look and the bind
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
    """Refuse a directory that somebody else could rename, and put another in its place."""
    way: str = os.path.realpath(os.path.dirname(directory))
    while True:
        with _as_address_error(f"the directory {way}"):
            found = os.stat(way)
        # with the sticky bit others may make files there, but not rename ours
        loose = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
        if loose or found.st_uid not in {0, os.geteuid()}:
            raise AddressError(f"{way}, on the way to {directory}, can be changed by others; choose another place")
        if way == "/":
            return
        way = os.path.dirname(way)


def remove_stale(path: str) -> None:
    """Take away a socket that nobody answers on; none there is fine.

    Raises:
        AddressInUse: somebody answers there.
        AddressError: something else than a socket is there, or it can't be looked at.
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
    """Whether somebody listens on a unix socket, by its path or its abstract name; nothing is sent.

    Raises: OSError: it can't be told.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(name)
        except BlockingIOError:
            pass  # a full backlog is somebody too
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
    """Bind and move; a descriptor that keeps the file's number from serving again."""
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
