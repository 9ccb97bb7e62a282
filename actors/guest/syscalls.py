"""System calls missing in Python: namespaces, mounts, prctl, file notifications, and the loopback interface.

For the launcher and the engines. Standard library only. One function for each call that the guest makes, each raising
OSError with the call's name.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "IN_MODIFY",
    "MNT_DETACH",
    "MS_BIND",
    "MS_NODEV",
    "MS_NOEXEC",
    "MS_NOSUID",
    "MS_PRIVATE",
    "MS_RDONLY",
    "MS_REC",
    "MS_REMOUNT",
    "become_subreaper",
    "die_with_parent",
    "enter_namespaces",
    "hold_executions",
    "inotify_watch",
    "loopback_up",
    "mount",
    "name_process",
    "setns",
    "umount",
    "unshare",
]

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2
IN_MODIFY = 0x2
_FAN_CLOEXEC, _FAN_NONBLOCK, _FAN_CLASS_CONTENT, _FAN_MARK_ADD, _FAN_OPEN_EXEC_PERM = 0x1, 0x2, 0x4, 0x1, 0x40000
_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    """unshare(2), for the calling thread. Raises: OSError (EPERM: not permitted here)."""
    _call("unshare", ctypes.c_int(flags))


def setns(namespace: int) -> None:
    """setns(2) with a namespace's descriptor, for the calling thread. Raises: OSError."""
    _call("setns", ctypes.c_int(namespace), ctypes.c_int(0))


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2). Raises: OSError, whose message names source and target."""
    try:
        _call(
            "mount",
            os.fsencode(source),
            os.fsencode(target),
            os.fsencode(kind) or None,
            ctypes.c_ulong(flags),
            os.fsencode(data) or None,
        )
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} ({source} on {target})") from None


def enter_namespaces() -> None:
    """A guest's namespaces beside its pid namespace, whose first process calls this; mounts are private, /proc shows its pids.

    Raises: OSError.
    """
    unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET)
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)


def umount(target: str, flags: int = 0) -> None:
    """umount2(2); not being a mount point is no error. Raises: OSError."""
    try:
        _call("umount2", os.fsencode(target), ctypes.c_int(flags))
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise


def inotify_watch(path: Path, mask: int) -> int:
    """A non-blocking descriptor that becomes readable at each change of `path`. Raises: OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = int(libc.inotify_init1(ctypes.c_int(os.O_NONBLOCK | os.O_CLOEXEC)))
    if descriptor >= 0 and libc.inotify_add_watch(descriptor, os.fsencode(path), ctypes.c_uint32(mask)) >= 0:
        return descriptor
    code = ctypes.get_errno()
    if descriptor >= 0:
        os.close(descriptor)
    raise OSError(code, os.strerror(code), str(path))


def hold_executions(file: int) -> int:
    """Block every execve(2) of the open file `file` until the returned descriptor is closed,
    also by its owner's death (fanotify(7), FAN_OPEN_EXEC_PERM).

    Raises: OSError (EPERM: not root of this machine; EINVAL, ENOSYS: a kernel before 5.0, or built without it).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _FAN_CLOEXEC | _FAN_NONBLOCK | _FAN_CLASS_CONTENT
    group = int(libc.fanotify_init(ctypes.c_uint(flags), ctypes.c_uint(os.O_RDONLY | os.O_CLOEXEC)))
    mark = ctypes.c_uint(_FAN_MARK_ADD), ctypes.c_uint64(_FAN_OPEN_EXEC_PERM)
    if group >= 0 and libc.fanotify_mark(ctypes.c_int(group), *mark, ctypes.c_int(file), None) == 0:
        return group
    code = ctypes.get_errno()
    if group >= 0:
        os.close(group)
    raise OSError(code, f"fanotify: {os.strerror(code)}")


def die_with_parent(signum: int) -> None:
    """Get `signum` when the parent thread dies (PR_SET_PDEATHSIG). Cleared by fork."""
    _prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signum))


def become_subreaper() -> None:
    """Adopt orphaned descendants, as pid 1 of a pid namespace does anyway."""
    _prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))


def name_process(name: str) -> None:
    """What `ps -e` and `top` call it; of more than 15 bytes the first."""
    _prctl(_PR_SET_NAME, ctypes.c_char_p(os.fsencode(name)))


def _prctl(option: int, argument: object) -> None:
    zero = ctypes.c_ulong(0)
    _call("prctl", ctypes.c_int(option), argument, zero, zero, zero)


def loopback_up() -> None:
    """Bring up `lo` in this network namespace. Raises: OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(control, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))
