"""The files of one container: a shared image, and a writable layer over it. In memory, and bounded.

For the kernel and the engine. Paths are absolute; there are no owners and no links, and of a mode only the
executable bits matter. Not for open files: `files`.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.simulation.box.kernel.calls import CallFailed
from actors.simulation.box.kernel.files import Folder, Full, Null, PlainFile, Zero

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.simulation.box.kernel.calls import Program
    from actors.simulation.box.kernel.files import OpenFile

__all__ = ["FileStatus", "Tree"]

# the capacity of a container's simulated disk
_TREE_BYTES = 64 * 1024 * 1024
_FILES = 4096
_DEVICES = {"/dev/null": Null, "/dev/zero": Zero, "/dev/full": Full}


@dataclass(frozen=True, slots=True)
class FileStatus:
    """The result of stat(2). `kind` is `file`, `directory` or `device`."""

    kind: str
    size: int = 0
    mode: int = 0o755

    @property
    def executable(self) -> bool:
        """Whether root may run it: any executable bit is set."""
        return self.kind == "file" and bool(self.mode & 0o111)


class Tree:
    """`programs` are what can be run, by their paths; `image` are the other files."""

    def __init__(
        self,
        *,
        directories: tuple[str, ...],
        image: Mapping[str, bytes],
        programs: Mapping[str, Program],
        readonly: bool,
    ) -> None:
        self._directories = dict.fromkeys(directories)
        self._image = image
        self._programs = programs
        self._readonly = readonly
        # what was written; None hides a file of the image
        self._written: dict[str, bytearray | None] = {}
        self._bytes = 0
        # of files whose mode was changed
        self._modes: dict[str, int] = {}
        # where a mount makes writing possible
        self._writable: list[str] = []

    def mount_memory(self, path: str) -> None:
        """An empty directory that can be written, whatever is around it."""
        path = posixpath.normpath(path)
        for parent in [path, *_parents(path)]:
            self._directories[parent] = None
        self._writable.append(path)

    def is_directory(self, path: str) -> bool:
        """Whether it is one."""
        return posixpath.normpath(path) in self._directories

    def program(self, path: str) -> Program | None:
        """The program at a path."""
        if path in self._written or not self._modes.get(path, 0o111) & 0o111:
            return None
        return self._programs.get(path)

    def text(self, path: str) -> str:
        """The content of a file, empty without one."""
        content = self._content(path)
        return content.decode("utf-8", "replace") if content is not None else ""

    def status(self, path: str) -> FileStatus | None:
        """See `FileStatus`; None if there is none."""
        path = posixpath.normpath(path)
        if path in self._directories:
            return FileStatus("directory")
        if path in _DEVICES or path == "/dev/tty":
            return FileStatus("device")
        if path in self._programs and path not in self._written:
            return FileStatus("file", 1024 * 1024, self._modes.get(path, 0o755))
        content = self._content(path)
        return None if content is None else FileStatus("file", len(content), self._modes.get(path, 0o644))

    def change_mode(self, path: str, mode: int) -> None:
        """Of a file; a directory's means nothing here. Raises: CallFailed."""
        path = posixpath.normpath(path)
        status = self.status(path)
        if status is None:
            raise CallFailed(self._missing(path))
        self._check_writable(path)
        if status.kind == "file":
            self._modes[path] = mode

    def names(self, path: str) -> list[str]:
        """What is in a directory, sorted. Raises: CallFailed."""
        path = posixpath.normpath(path)
        if path not in self._directories:
            raise CallFailed("Not a directory" if self.status(path) else "No such file or directory")
        every = (*self._directories, *self._image, *self._programs, *self._written, *_DEVICES, "/dev/tty")
        prefix = f"{path.rstrip('/')}/"
        found = {each: each.removeprefix(prefix) for each in every if each.startswith(prefix)}
        return sorted(
            name for each, name in found.items() if name and "/" not in name and self.status(each) is not None
        )

    def open(self, path: str, how: str) -> OpenFile:
        """`how` as in the call `Open`. Raises: CallFailed."""
        path = posixpath.normpath(path)
        device = _DEVICES.get(path)
        if device is not None:
            return device()
        if path in self._directories:
            if how == "r":
                return Folder()
            raise CallFailed("Is a directory")
        content = self._content(path)
        if how == "r":
            if content is None:
                raise CallFailed(self._missing(path))
            return PlainFile(bytearray(content) if isinstance(content, bytes) else content, how, self._room)
        self._check_writable(path)
        if not isinstance(content, bytearray):
            if len(self._written) >= _FILES:
                raise CallFailed("No space left on device")
            content = bytearray(content or b"")
            self._bytes += len(content)
        self._written[path] = content
        if how == "w":
            self._bytes -= len(content)
            content.clear()
        return PlainFile(content, how, self._room)

    def make_directory(self, path: str) -> None:
        """Raises: CallFailed."""
        path = posixpath.normpath(path)
        if self.status(path) is not None:
            raise CallFailed("File exists")
        self._check_writable(path)
        if len(self._directories) >= _FILES:
            raise CallFailed("No space left on device")
        self._directories[path] = None

    def remove(self, path: str) -> None:
        """A file, or an empty directory. Raises: CallFailed."""
        path = posixpath.normpath(path)
        status = self.status(path)
        if status is None:
            raise CallFailed(self._missing(path))
        self._check_writable(path)
        if status.kind == "device" or (status.kind == "directory" and (path == "/" or path in self._writable)):
            raise CallFailed("Device or resource busy")
        if status.kind == "directory":
            if self.names(path):
                raise CallFailed("Directory not empty")
            del self._directories[path]
            return
        # what somebody still has open is freed as well: a disk of 64 MiB is generous enough
        self._bytes -= len(self._written.pop(path, None) or b"")
        self._modes.pop(path, None)
        if path in self._image or path in self._programs:
            self._written[path] = None

    def _content(self, path: str) -> bytes | bytearray | None:
        if path in self._written:
            return self._written[path]
        if path in self._programs:
            return b"\x7fELF (simulated)\n"
        return self._image.get(path)

    def _room(self, more: int) -> bool:
        """Take so many bytes of the disk, if they are there."""
        if self._bytes + more > _TREE_BYTES:
            return False
        self._bytes += more
        return True

    def _missing(self, path: str) -> str:
        parent = self.status(posixpath.dirname(path))
        return "Not a directory" if parent is not None and parent.kind != "directory" else "No such file or directory"

    def _check_writable(self, path: str) -> None:
        if posixpath.dirname(path) not in self._directories:
            raise CallFailed(self._missing(path))
        if self._readonly and not any(path.startswith(f"{mount}/") for mount in self._writable):
            raise CallFailed("Read-only file system")


def _parents(path: str) -> list[str]:
    found: list[str] = []
    while path != "/":
        path = posixpath.dirname(path)
        found.append(path)
    return found
