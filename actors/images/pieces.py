"""Untrusted regular files: nothing else is ever opened, and every read is bounded.

For image archives.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import contextmanager
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Protocol

from actors.errors import InvalidArgument, NotFound, PermissionDenied, ResourceExhausted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from pathlib import Path

    from actors.errors import KatrioError

__all__ = ["COPY_BYTES", "Piece", "Stored", "broken", "regular"]

# size of one read: cancellation is checked in between
COPY_BYTES = 1024 * 1024


class Stored(Protocol):
    """Bytes as stored in an archive."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, /) -> object: ...


def broken(where: str, what: str) -> InvalidArgument:
    return InvalidArgument(f"image {where}: {what}", field="image")


class Piece:
    """A range of a regular file, starting at `begin`; each read is a checkpoint, and OS errors become errors of the image."""

    def __init__(self, file: IO[bytes], begin: int, size: int, where: str, checkpoint: Callable[[], None]) -> None:
        self._file = file
        self._begin = begin
        self.size = size
        self._where = where
        self._checkpoint = checkpoint
        self.at = 0

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; empty at the end."""
        self._checkpoint()
        left = self.size - self.at
        try:
            self._file.seek(self._begin + self.at)
            data = self._file.read(left if size < 0 else min(size, left))
        except OSError as error:
            raise broken(self._where, f"can't be read: {error.strerror}") from error
        self.at += len(data)
        return data

    def seek(self, offset: int, /) -> None:
        """Seek to an offset from the start of the range."""
        self.at = offset

    def skip(self, size: int) -> None:
        """Skip `size` bytes."""
        self.at = min(self.at + size, self.size)

    def small(self, name: str, most: int) -> bytes:
        """All of it. Raises: ResourceExhausted over the bound."""
        if self.size > most:
            raise ResourceExhausted(
                f"image {self._where}: {name[:200]} is over {most} bytes", limit=most, field="image"
            )
        return self.read()

    def hexdigest(self) -> str:
        """SHA-256 of the whole range; afterwards the position is its start."""
        found = hashlib.sha256()
        self.seek(0)
        while data := self.read(COPY_BYTES):
            found.update(data)
        self.seek(0)
        return found.hexdigest()


@contextmanager
def regular(
    path: Path, where: str, checkpoint: Callable[[], None], *, follow: bool = True
) -> Generator[tuple[IO[bytes], int]]:
    """A file and its size, opened for reading. Anything but a regular file is refused before opening, which alone may
    block or have side effects.

    Raises: NotFound, PermissionDenied, ResourceExhausted; InvalidArgument for a pipe, a device, a socket or a directory.
    """
    checkpoint()
    try:
        found = path.stat() if follow else path.lstat()
        # checked again after opening: it may have been replaced
        file = _opened(path, follow=follow) if stat.S_ISREG(found.st_mode) else None
    except OSError as error:
        kind = _REFUSALS.get(error.errno or 0, InvalidArgument)
        raise kind(f"image {where}: {path.name[:200]}: {error.strerror}", field="image") from error
    if file is None:
        raise broken(where, f"{path.name[:200]} is no regular file")
    with file:
        yield file, os.fstat(file.fileno()).st_size


def _opened(path: Path, *, follow: bool) -> IO[bytes] | None:
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    file = os.fdopen(os.open(path, flags), "rb")
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    return None


_REFUSALS: Mapping[int, type[KatrioError]] = MappingProxyType(
    {
        errno.ENOENT: NotFound,
        errno.ENOTDIR: NotFound,
        errno.EACCES: PermissionDenied,
        errno.EPERM: PermissionDenied,
        errno.EMFILE: ResourceExhausted,
        errno.ENFILE: ResourceExhausted,
        errno.ENOMEM: ResourceExhausted,
    }
)
