"""Files, directories and symlinks copied into a guest: in ordered pieces, below one directory, each placed whole or not at all.

For the kata service's CopyFile, and for mounts of copied files. Pure: pieces are collected in memory within
a bound, and a complete file is handed to the platform.
"""

from __future__ import annotations

import re
import stat
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from actors.errors import InvalidArgument, PermissionDenied, ResourceExhausted
from actors.wire.fields import check_fields

if TYPE_CHECKING:
    from collections.abc import Generator

    from actors.limits import Limits
    from actors.schemas.agent import CopyFileRequest

__all__ = ["SHARED_DIRECTORY", "FileKind", "SharedFile", "SharedFiles", "shared_path"]

# the only directory in which a Kata agent accepts files; maps to wherever ours really is
SHARED_DIRECTORY = "/run/kata-containers/shared/containers"
_PATH_BYTES = 1024
_DEPTH = 32
# the kernel's limit for a symlink's target
_LINK_BYTES = 4095
_NAME = re.compile(r"[^/\0]{1,255}\Z")


class FileKind(Enum):
    """The type of a copied file; a symlink's data is its target."""

    FILE = stat.S_IFREG
    DIRECTORY = stat.S_IFDIR
    LINK = stat.S_IFLNK


class SharedFile(NamedTuple):
    """A complete file; `path` is relative to the shared directory, without `.` and `..`. Modes are the 12 permission bits."""

    path: str
    data: bytes
    mode: int
    directory_mode: int
    uid: int
    gid: int
    kind: FileKind = FileKind.FILE


def shared_path(path: str) -> str:
    """The path relative to the shared directory.

    Raises:
        PermissionDenied: it is not below the shared directory.
        InvalidArgument: a component is not a valid file name, or it is too long.
    """
    prefix = SHARED_DIRECTORY + "/"
    if not path.startswith(prefix):
        raise PermissionDenied(f"path {path[:80]!r}: files are taken below {SHARED_DIRECTORY} alone")
    relative = path.removeprefix(prefix)
    parts = relative.split("/")
    if ".." in parts:
        raise PermissionDenied(f"path {path[:80]!r}: '..' leads out of {SHARED_DIRECTORY}")
    if len(relative.encode()) > _PATH_BYTES or len(parts) > _DEPTH or not all(map(_is_name, parts)):
        raise InvalidArgument(
            f"path {path[:80]!r}: expected at most {_DEPTH} names and {_PATH_BYTES} bytes, none of them '.' or empty",
            field="path",
        )
    return relative


def _is_name(part: str) -> bool:
    return part != "." and _NAME.match(part) is not None and len(part.encode()) <= 255


class _Begun(NamedTuple):
    """An incomplete file. Its whole announced size counts against the bound from the first piece on."""

    claimed: int
    data: bytearray


class SharedFiles:
    """The files copied so far. A piece at offset 0 restarts its file, so an interrupted copy can be repeated."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._unfinished: dict[str, _Begun] = {}
        # sizes of complete files that are being written
        self._placing: list[int] = []
        self._placed: dict[str, int] = {}

    def take(self, request: CopyFileRequest) -> SharedFile | None:
        """Add one piece; returns the file when it is complete, to be written within `placing`.

        Raises:
            PermissionDenied, InvalidArgument: for the path, or a piece out of order.
            ResourceExhausted: the files of this sandbox are too large together.
        """
        check_fields(request)
        path = shared_path(request.path)
        kind = _kind(request)
        if kind is not FileKind.FILE:
            return self._whole(path, kind, request)
        size, end = request.file_size, request.offset + len(request.data)
        if size < 0 or request.offset < 0 or end > size or (size > 0 and not request.data):
            raise InvalidArgument(
                f"copy of {path[:80]!r}: bytes {request.offset} to {end} of {size}: expected at least one of them within it",
                field="offset",
            )
        if request.offset == 0:
            self._unfinished.pop(path, None)
            self._check_room(path, size)
            self._unfinished[path] = _Begun(size, bytearray())
        begun = self._unfinished.get(path) or _Begun(size, bytearray())
        if len(begun.data) != request.offset:
            raise InvalidArgument(
                f"copy of {path[:80]!r}: a piece at {request.offset}, and {len(begun.data)} bytes are there; "
                "send the pieces in order, one writer to a path",
                field="offset",
            )
        if begun.claimed != size:
            raise InvalidArgument(
                f"copy of {path[:80]!r}: a piece of a file of {size} bytes, and its first piece said {begun.claimed}",
                field="file_size",
            )
        begun.data.extend(request.data)
        if end < size:
            return None
        del self._unfinished[path]
        return SharedFile(path, bytes(begun.data), *_modes(request), request.uid, request.gid)

    def clear(self) -> None:
        """Forget all files, incomplete ones too."""
        self._unfinished.clear()
        self._placed.clear()

    @contextmanager
    def placing(self, file: SharedFile) -> Generator[None]:
        """Write a file returned by `take` within this block; it stays counted unless an exception ends the block."""
        size = len(file.data)
        self._placing.append(size)
        try:
            yield
        finally:
            self._placing.remove(size)
        self._placed[file.path] = size

    def _whole(self, path: str, kind: FileKind, request: CopyFileRequest) -> SharedFile:
        """A directory or symlink: a single piece, whose data is empty or the target."""
        right = range(1, _LINK_BYTES + 1) if kind is FileKind.LINK else range(1)
        if request.offset or len(request.data) not in right or b"\0" in request.data:
            raise InvalidArgument(
                f"copy of {path[:80]!r}, a {kind.name.lower()}: {len(request.data)} bytes at {request.offset}: "
                f"expected {right[0]} to {right[-1]} at 0",
                field="data",
            )
        self._unfinished.pop(path, None)
        self._check_room(path, len(request.data))
        return SharedFile(path, request.data, *_modes(request), request.uid, request.gid, kind)

    def _check_room(self, path: str, size: int) -> None:
        moving = sum(begun.claimed for begun in self._unfinished.values()) + sum(self._placing)
        others = moving + sum(self._placed.values()) - self._placed.get(path, 0)
        files = len(self._placed) + len(self._unfinished) + len(self._placing)
        if others + size > self._limits.copied_bytes or files >= _FILES:
            raise ResourceExhausted(
                f"copy of {path[:80]!r}, {size} bytes: this sandbox has {others} of {self._limits.copied_bytes} bytes "
                f"in {files} of {_FILES} files, begun ones with all that they said",
                limit=self._limits.copied_bytes,
            )


def _kind(request: CopyFileRequest) -> FileKind:
    """From the mode's type bits, where none means a regular file. Raises: InvalidArgument."""
    kind = stat.S_IFMT(request.file_mode) or stat.S_IFREG
    try:
        return FileKind(kind)
    except ValueError:
        raise InvalidArgument(
            f"copy of {request.path[:80]!r}: mode {request.file_mode:o}: expected a file, a directory or a link",
            field="file_mode",
        ) from None


def _modes(request: CopyFileRequest) -> tuple[int, int]:
    return request.file_mode & 0o7777, request.dir_mode & 0o7777 or 0o755


# each costs an inode and a name in memory
_FILES = 4096
