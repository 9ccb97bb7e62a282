"""What descriptors stand for: pipes with a capacity, devices, plain files in memory. All bounded.

For the kernel and for the ends that a guest holds. A file never blocks: it answers None where a process must wait, and
names whom to wake. Not for terminals: `terminal`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from actors.simulation.kernel.calls import CallFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.simulation.kernel.process import Process

__all__ = [
    "PIPE_BYTES",
    "BrokenPipe",
    "Null",
    "OpenFile",
    "PipeEnd",
    "PlainFile",
    "Tree",
    "Waiters",
    "Zero",
    "new_pipe",
]

# Linux' default; the guest's own pipes are larger (see `actors.simulation.engine`)
PIPE_BYTES = 64 * 1024
# of all files of a container
_TREE_BYTES = 16 * 1024 * 1024
_DIRECTORIES = (
    "/",
    "/bin",
    "/dev",
    "/etc",
    "/home",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/var",
)


class BrokenPipe(CallFailed):
    """Nobody can read it any more; whoever writes gets SIGPIPE first."""

    def __init__(self) -> None:
        super().__init__("Broken pipe")


class OpenFile(Protocol):
    """One open file; processes share it by reference."""

    def read(self, size: int) -> bytes | None:
        """Bytes, empty at the end, None for later."""
        ...

    def write(self, data: bytes) -> int | None:
        """How many were taken, None for later. Raises: CallFailed."""
        ...

    def waiters(self) -> Waiters | None:
        """Where to wait after a None."""
        ...

    def opened(self) -> None:
        """One descriptor more."""

    def closed(self) -> None:
        """One descriptor less."""


class Waiters:
    """Who waits for a change of one file, in order of arrival. `changed` wakes processes and tells the guest's side."""

    def __init__(self) -> None:
        # a dict for its order
        self._processes: dict[Process, None] = {}
        self.on_change: Callable[[], None] | None = None

    def add(self, process: Process) -> None:
        """Wake it at the next change."""
        self._processes[process] = None

    def discard(self, process: Process) -> None:
        """It waits no more."""
        self._processes.pop(process, None)

    def changed(self) -> None:
        """Wake everybody."""
        if self._processes:
            waiting, self._processes = self._processes, {}
            for process in waiting:
                process.kernel.wake(process)
        if self.on_change is not None:
            self.on_change()


class _Pipe:
    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.buffer = bytearray()
        self.readers = 0
        self.writers = 0
        self.waiters = Waiters()


class PipeEnd:
    """One end of a pipe, counted: the pipe's end of file, or its breaking, come with the last of the other side."""

    def __init__(self, pipe: _Pipe, *, writes: bool) -> None:
        self._pipe = pipe
        self._writes = writes

    def read(self, size: int) -> bytes | None:
        pipe = self._pipe
        if not pipe.buffer:
            return None if pipe.writers else b""
        data = bytes(pipe.buffer[:size])
        del pipe.buffer[:size]
        pipe.waiters.changed()
        return data

    def write(self, data: bytes) -> int | None:
        pipe = self._pipe
        if not pipe.readers:
            raise BrokenPipe
        room = pipe.capacity - len(pipe.buffer)
        if room <= 0:
            return None
        pipe.buffer += data[:room]
        pipe.waiters.changed()
        return min(room, len(data))

    def waiters(self) -> Waiters:
        return self._pipe.waiters

    def opened(self) -> None:
        self._count(1)

    def closed(self) -> None:
        self._count(-1)
        self._pipe.waiters.changed()

    def _count(self, by: int) -> None:
        if self._writes:
            self._pipe.writers += by
        else:
            self._pipe.readers += by


def new_pipe(capacity: int) -> tuple[PipeEnd, PipeEnd]:
    """(end to read, end to write), neither opened yet."""
    pipe = _Pipe(capacity)
    return PipeEnd(pipe, writes=False), PipeEnd(pipe, writes=True)


class Null:
    """/dev/null."""

    def read(self, size: int) -> bytes | None:
        return b""

    def write(self, data: bytes) -> int | None:
        return len(data)

    def waiters(self) -> Waiters | None:
        return None

    def opened(self) -> None:
        pass

    def closed(self) -> None:
        pass


class Zero(Null):
    """/dev/zero."""

    def read(self, size: int) -> bytes | None:
        return bytes(size)


class PlainFile(Null):
    """A file's content, from an offset of its own."""

    def __init__(self, tree: Tree, content: bytearray, *, at: int) -> None:
        self._tree = tree
        self._content = content
        self._at = at

    def read(self, size: int) -> bytes | None:
        data = bytes(self._content[self._at : self._at + size])
        self._at += len(data)
        return data

    def write(self, data: bytes) -> int | None:
        if self._tree.size() + len(data) > _TREE_BYTES:
            raise CallFailed("No space left on device")
        self._content[self._at : self._at + len(data)] = data
        self._at += len(data)
        return len(data)


class Tree:
    """The files of one container: a few directories, and what its programs write."""

    def __init__(self, *, readonly: bool) -> None:
        self._readonly = readonly
        self._files: dict[str, bytearray] = {}

    def size(self) -> int:
        """Bytes of all files."""
        return sum(len(content) for content in self._files.values())

    def is_directory(self, path: str) -> bool:
        """Whether it is one."""
        return (path.rstrip("/") or "/") in _DIRECTORIES

    def exists(self, path: str) -> bool:
        """Whether anything is there."""
        return path in self._files or self.is_directory(path) or path in ("/dev/null", "/dev/zero")

    def open(self, path: str, how: str) -> OpenFile:
        """`how`: `r`, `w`, `a`. Raises: CallFailed."""
        if path in ("/dev/null", "/dev/zero"):
            return Null() if path == "/dev/null" else Zero()
        if self.is_directory(path):
            raise CallFailed("Is a directory")
        if how == "r":
            if path not in self._files:
                raise CallFailed("No such file or directory")
            return PlainFile(self, self._files[path], at=0)
        self._check_writable(path)
        content = self._files.setdefault(path, bytearray())
        if how == "w":
            content.clear()
        return PlainFile(self, content, at=len(content))

    def remove(self, path: str) -> None:
        """Raises: CallFailed."""
        if path not in self._files:
            raise CallFailed("No such file or directory")
        self._check_writable(path)
        del self._files[path]

    def _check_writable(self, path: str) -> None:
        if not self.is_directory(path.rpartition("/")[0] or "/"):
            raise CallFailed("No such file or directory")
        if self._readonly:
            raise CallFailed("Read-only file system")
