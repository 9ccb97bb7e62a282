"""The guest's ends of a process's standard streams: pipes of 1 MiB, and pseudo-terminals.

For both real engines. A cancelled read loses nothing, and closing an end wakes tasks that wait on it. There is no
buffering: unread output stays in the kernel's pipe and blocks the writer (backpressure).
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import termios
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import trio

from actors.guest.engines.runtime import RuntimeFailed

if TYPE_CHECKING:
    from collections.abc import Generator

    from actors.wire.spec import TerminalSize

__all__ = ["ReadEnd", "WriteEnd", "open_pipes", "receive_terminal", "set_terminal_size", "terminal_ends"]

# the kernel's limit for unprivileged users (fs.pipe-max-size); three times the throughput of the default 64 KiB
_PIPE_BYTES = 1024 * 1024
_READ_BYTES = 1024 * 1024
# a runtime's error message
_WORDS_BYTES = 4096
# a pseudo-terminal's master returns EIO for end of file
_END_OF_FILE = (errno.EIO, errno.ECONNRESET)


class _End:
    """One owned, non-blocking descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)

    def fileno(self) -> int:
        """The descriptor. Raises: ClosedResourceError."""
        if self._descriptor < 0:
            raise trio.ClosedResourceError("this stream was closed")
        return self._descriptor

    def close(self) -> None:
        """Close it and wake waiting tasks; idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            trio.lowlevel.notify_closing(descriptor)
            os.close(descriptor)

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()


class ReadEnd(_End, trio.abc.ReceiveStream):
    """Output of a process."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._released: trio.Event | None = None
        self._dropped = False

    def hold(self) -> None:
        """Make readers wait until it is known whose output this is."""
        self._released = trio.Event()

    def release(self) -> None:
        """The output is the process's own: let readers continue; idempotent."""
        if self._released is not None:
            self._released.set()
            self._released = None

    def close(self) -> None:
        super().close()
        self.release()

    def drop(self) -> bytes:
        """It is not the process's: readers see end of file. Returns the beginning of what was written."""
        text = b""
        with suppress(OSError, trio.ClosedResourceError):
            text = os.read(self.fileno(), _WORDS_BYTES)
        self._dropped = True
        self.close()
        return text

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """At least one byte, at most `max_bytes` (1 MiB); empty at end of file. Raises: ClosedResourceError, BrokenResourceError."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._released is not None:
            await self._released.wait()
        while True:
            if self._dropped:
                await trio.lowlevel.checkpoint()
                return b""
            try:
                data = os.read(self.fileno(), max_bytes or _READ_BYTES)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self.fileno())
                continue
            except OSError as error:
                if error.errno not in _END_OF_FILE:
                    raise trio.BrokenResourceError(f"reading a process's output: {error}") from error
                data = b""
            # shielded: a Cancelled between the read and the return would lose the bytes
            await trio.lowlevel.cancel_shielded_checkpoint()
            return data


class WriteEnd(_End, trio.abc.SendStream):
    """Input of a process."""

    async def write_some(self, data: bytes | memoryview) -> int:
        """Wait for room, then write what fits; returns the byte count. Raises: BrokenResourceError without a reader, ClosedResourceError."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            try:
                size = os.write(self.fileno(), data)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self.fileno())
                continue
            except OSError as error:
                raise trio.BrokenResourceError(f"writing a process's input: {error}") from error
            await trio.lowlevel.cancel_shielded_checkpoint()
            return size

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of it. Raises: BrokenResourceError, ClosedResourceError."""
        view = memoryview(data)
        while view:
            view = view[await self.write_some(view) :]

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.wait_writable(self.fileno())


def _pipe() -> tuple[int, int]:
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    # beyond this user's quota of pipe memory: keep the default size, which is only slower
    with suppress(OSError):
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return read_end, write_end


def _pipe_from_process() -> tuple[ReadEnd, int]:
    """Our end, and a process's output descriptor, which the caller closes. Raises: OSError."""
    read_end, write_end = _pipe()
    return ReadEnd(read_end), write_end


def _pipe_to_process() -> tuple[WriteEnd, int]:
    """Our end, and a process's input descriptor, which the caller closes. Raises: OSError."""
    read_end, write_end = _pipe()
    return WriteEnd(write_end), read_end


@contextmanager
def open_pipes() -> Generator[tuple[tuple[WriteEnd, ReadEnd, ReadEnd], tuple[int, int, int]]]:
    """Our three ends, and a process's standard streams, which are closed at the block's end; on an exception, ours are too.
    Raises: OSError, and then nothing is left open."""
    with ExitStack() as ours, ExitStack() as theirs:
        stdin, child_in = _pipe_to_process()
        ours.callback(stdin.close)
        theirs.callback(os.close, child_in)
        outputs: list[tuple[ReadEnd, int]] = []
        for _ in range(2):
            read_end, child = _pipe_from_process()
            ours.callback(read_end.close)
            theirs.callback(os.close, child)
            outputs.append((read_end, child))
        (stdout, child_out), (stderr, child_err) = outputs
        yield (stdin, stdout, stderr), (child_in, child_out, child_err)
        ours.pop_all()


def terminal_ends(master: int) -> tuple[WriteEnd, ReadEnd]:
    """Both of our ends of a terminal; they take over its master. Raises: OSError, and then it is closed."""
    try:
        copy = os.dup(master)
    except OSError:
        os.close(master)
        raise
    return WriteEnd(copy), ReadEnd(master)


def set_terminal_size(descriptor: int, size: TerminalSize) -> None:
    """Set a terminal's size; the kernel signals its foreground process group (SIGWINCH). Raises: OSError."""
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", size.rows, size.columns, 0, 0))


def receive_terminal(listener: socket.socket) -> tuple[WriteEnd, ReadEnd]:
    """The terminal that a runtime sent to its console socket.

    Raises: RuntimeFailed: none was sent though the runtime exited with 0: runc's process in the container was killed.
    """
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        raise RuntimeFailed("the runtime did not send the terminal", status="no terminal") from None
    with connection:
        _, descriptors, _, _ = socket.recv_fds(connection, 4096, 4)
    if len(descriptors) != 1:
        for descriptor in descriptors:
            os.close(descriptor)
        raise RuntimeFailed(
            f"the runtime sent {len(descriptors)} descriptors where one terminal was due", status="no terminal"
        )
    master = descriptors[0]
    os.set_inheritable(master, False)
    return terminal_ends(master)
