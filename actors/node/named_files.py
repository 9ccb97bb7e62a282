"""Files named by a user, for reading or writing: one rule for all, so that none hangs or has side effects.

A regular file is read or written; a pipe, e.g. from a shell's `<(...)` and `>(...)`, is waited for for a few
seconds; a directory, device or socket is not even opened for reading, which alone may have side effects. For scenario
files, configurations, journals, requests and reports. Our own files: `actors.seams`.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["open_for_writing", "read_named"]

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
# bearable for a user at a terminal
_PIPE_SECONDS = 5
# size of one read from a pipe, whose buffer has 64 KiB
_PART_BYTES = 1024 * 1024


def read_named(path: Path, most: int) -> bytes:
    """The content, or `most` + 1 bytes of a larger file, which reveals it. Blocking, for a pipe some seconds.

    Raises: OSError; also for other file types, and for a silent pipe.
    """
    mode = path.stat().st_mode
    if stat.S_ISFIFO(mode):
        return _read_pipe(path, most)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, next((word for is_it, word in _KINDS if is_it(mode)), "no file"), str(path))
    # O_NONBLOCK: it may have been replaced by a pipe
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        return stream.read(most + 1)


def _read_pipe(path: Path, most: int) -> bytes:
    """Read to the end, or until there is too much."""
    parts: list[bytes] = []
    size = 0
    # O_NONBLOCK: don't wait for a writer
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while size <= most:
            if not poll.poll(1000 * _PIPE_SECONDS):
                raise OSError(errno.ETIMEDOUT, f"a pipe into which nobody wrote for {_PIPE_SECONDS} s", str(path))
            part = os.read(descriptor, min(_PART_BYTES, most + 1 - size))
            if not part:
                break
            size += len(part)
            parts.append(part)
    finally:
        os.close(descriptor)
    return b"".join(parts)


def open_for_writing(path: str, flags: int) -> int:
    """A descriptor, for `open(opener=...)`; a pipe must have a reader already. Raises: OSError."""
    try:
        # O_NONBLOCK: don't wait for a reader
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno == errno.ENXIO and stat.S_ISFIFO(os.stat(path).st_mode):
            raise OSError(errno.ENXIO, "a pipe that nobody reads", path) from None
        raise
    os.set_blocking(descriptor, True)
    return descriptor
