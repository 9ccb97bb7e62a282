"""Path resolution with a directory as `/`: symlinks and `..` in it can't lead out.

For reading a container's root from outside. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["open_in_root", "read_in_root"]

_READ_BYTES = 64 * 1024
# openat2's number is the same on every architecture (calls added since Linux 5.1)
_SYS_OPENAT2, _RESOLVE_IN_ROOT = 437, 0x10


def open_in_root(root: int, path: str, flags: int) -> int:
    """Open `path` as if the directory `root` were `/`. Raises: OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    how = ctypes.create_string_buffer(struct.pack("QQQ", flags, 0, _RESOLVE_IN_ROOT), 24)
    descriptor = libc.syscall(
        ctypes.c_long(_SYS_OPENAT2), ctypes.c_int(root), os.fsencode(path), how, ctypes.c_size_t(24)
    )
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return int(descriptor)


def read_in_root(root: Path, path: str, most_bytes: int) -> bytes | None:
    """The content of a regular file below `root`; None if there is none.

    Nothing else is ever opened: a fifo would block, and a device may have side effects.

    Raises:
        OSError: the root can't be examined.
        ValueError: larger than `most_bytes`.
    """
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = open_in_root(directory, path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return None
    finally:
        os.close(directory)
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            return None
        # the very inode that was checked
        data = bytearray()
        with open(f"/proc/self/fd/{found}", "rb") as file:
            # in steps: a read allocates a buffer of the requested size first
            while len(data) <= most_bytes and (more := file.read(_READ_BYTES)):
                data += more
    finally:
        os.close(found)
    if len(data) > most_bytes:
        raise ValueError(f"{path} has over {most_bytes} bytes")
    return bytes(data)
