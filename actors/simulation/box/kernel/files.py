"""Open files: pipes with a capacity, devices, regular files in memory. All bounded.

For the kernel and for the ends that a guest has open. A file never blocks: it returns None where a process has to wait, and
names the queue to wait in. Not for terminals (`terminal`), nor for directories (`tree`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from actors.simulation.box.kernel.calls import CallFailed

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = [
    "PIPE_BYTES",
    "BrokenPipe",
    "Folder",
    "Full",
    "Null",
    "OpenFile",
    "PipeEnd",
    "PlainFile",
    "Waiters",
    "Zero",
    "new_pipe",
]

# Linux' default; the guest's own pipes are larger (see `actors.simulation.engine`)
PIPE_BYTES = 64 * 1024


class BrokenPipe(CallFailed):
    """EPIPE: no reader is left; the writer gets SIGPIPE first."""

    def __init__(self) -> None:
        super().__init__("Broken pipe")


class Waiter(Protocol):
    """What can wait: a process."""

    def wake(self) -> None:
        """What it waits for has changed."""
        ...


class Waiters:
    """A wait queue, in order of arrival. `changed` wakes the processes, and notifies the guest's side."""

    def __init__(self) -> None:
        # a dict for its order
        self._processes: dict[Waiter, None] = {}
        self.on_change: Callable[[], None] | None = None

    def add(self, process: Waiter) -> None:
        """Wake it at the next change."""
        self._processes[process] = None

    def discard(self, process: Waiter) -> None:
        """Remove it from the queue."""
        self._processes.pop(process, None)

    def changed(self) -> None:
        """Wake all."""
        if self._processes:
            waiting, self._processes = self._processes, {}
            for process in waiting:
                process.wake()
        if self.on_change is not None:
            self.on_change()


class OpenFile(Protocol):
    """One open file; processes share it by reference. `readable` and `writable` are the queues to wait in after a None."""

    readable: Waiters
    writable: Waiters

    def read(self, size: int) -> bytes | None:
        """Bytes, empty at end of file, None if it would block. Raises: CallFailed."""
        ...

    def write(self, data: bytes | memoryview) -> int | None:
        """The number of bytes written, None if it would block. Raises: CallFailed."""
        ...

    def opened(self) -> None:
        """One descriptor more."""

    def closed(self) -> None:
        """One descriptor less."""


class _Pipe:
    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.buffer = bytearray()
        self.readers = 0
        self.writers = 0
        self.readable = Waiters()
        self.writable = Waiters()


class PipeEnd:
    """One end of a pipe, with a reference count: end of file, or EPIPE, comes when the last one of the other end is closed."""

    def __init__(self, pipe: _Pipe, *, writes: bool) -> None:
        self._pipe = pipe
        self._writes = writes
        self.readable = pipe.readable
        self.writable = pipe.writable

    def read(self, size: int) -> bytes | None:
        if self._writes:
            raise CallFailed("Bad file descriptor")
        pipe = self._pipe
        held = len(pipe.buffer)
        if not held:
            return None if pipe.writers else b""
        if held <= size:
            data = bytes(pipe.buffer)
            pipe.buffer = bytearray()
        else:
            with memoryview(pipe.buffer) as view:
                data = bytes(view[:size])
            del pipe.buffer[:size]
        pipe.writable.changed()
        return data

    def write(self, data: bytes | memoryview) -> int | None:
        if not self._writes:
            raise CallFailed("Bad file descriptor")
        pipe = self._pipe
        if not pipe.readers:
            raise BrokenPipe
        if not data:
            return 0
        room = pipe.capacity - len(pipe.buffer)
        if room <= 0:
            return None
        taken = min(room, len(data))
        pipe.buffer += data if taken == len(data) else data[:taken]
        pipe.readable.changed()
        return taken

    def opened(self) -> None:
        if self._writes:
            self._pipe.writers += 1
        else:
            self._pipe.readers += 1

    def closed(self) -> None:
        pipe = self._pipe
        if self._writes:
            pipe.writers -= 1
            if not pipe.writers:
                pipe.readable.changed()
        else:
            pipe.readers -= 1
            if not pipe.readers:
                pipe.writable.changed()


def new_pipe(capacity: int) -> tuple[PipeEnd, PipeEnd]:
    """(end to read, end to write), neither opened yet."""
    pipe = _Pipe(capacity)
    return PipeEnd(pipe, writes=False), PipeEnd(pipe, writes=True)


class Null:
    """/dev/null: never blocks."""

    def __init__(self) -> None:
        self.readable = Waiters()
        self.writable = Waiters()

    def read(self, size: int) -> bytes | None:
        return b""

    def write(self, data: bytes | memoryview) -> int | None:
        return len(data)

    def opened(self) -> None:
        pass

    def closed(self) -> None:
        pass


class Zero(Null):
    """/dev/zero."""

    def read(self, size: int) -> bytes | None:
        return bytes(size)


class Full(Zero):
    """/dev/full."""

    def write(self, data: bytes | memoryview) -> int | None:
        raise CallFailed("No space left on device")


class Folder(Null):
    """A directory can be opened, and not read."""

    def read(self, size: int) -> bytes | None:
        raise CallFailed("Is a directory")


class PlainFile(Null):
    """A file's content, from an offset of its own. `how` as in `Open`; `room` says how much more the tree may hold."""

    def __init__(self, content: bytearray, how: str, room: Callable[[int], bool]) -> None:
        super().__init__()
        self._content = content
        self._how = how
        self._room = room
        self._at = 0

    def read(self, size: int) -> bytes | None:
        if self._how in ("w", "a"):
            raise CallFailed("Bad file descriptor")
        data = bytes(self._content[self._at : self._at + size])
        self._at += len(data)
        return data

    def write(self, data: bytes | memoryview) -> int | None:
        if self._how == "r":
            raise CallFailed("Bad file descriptor")
        if self._how == "a":
            self._at = len(self._content)
        end = self._at + len(data)
        if not self._room(max(0, end - len(self._content))):
            raise CallFailed("No space left on device")
        if self._at > len(self._content):
            self._content += bytes(self._at - len(self._content))
        self._content[self._at : end] = data
        self._at = end
        return len(data)
