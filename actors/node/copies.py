"""Copies of unpacked roots, for agents that are not ours, and for kernels that refuse an overlay.

A root's content is untrusted: a copy can be cancelled at each entry and each MiB, is bounded, reads only regular
files, and of these at most the size seen beforehand, so that an endless kernel file is harmless. Holes stay
holes. Where the file system can share blocks (FICLONE) a copy costs almost nothing. Standard library only.
Blocking. Copies are kept in `roots`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from actors.errors import InvalidArgument, NotFound, PermissionDenied, ResourceExhausted
from actors.node.exhaustion import is_exhaustion
from actors.node.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.errors import KatrioError

__all__ = ["check_root", "copy_root"]

# linux/fs.h: _IOW(0x94, 9, int)
_FICLONE = 0x40049409
_CHUNK_BYTES = 1024 * 1024
# unit of st_blocks, independent of the file system's block size (stat(2))
_BLOCK_BYTES = 512
# pseudo file systems: nothing in them can be run, and reading their files may block, have side effects or never end
_VIEWS = frozenset(
    [
        "autofs",
        "binder",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "fusectl",
        "mqueue",
        "nsfs",
        "proc",
        "pstore",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "smackfs",
        "sysfs",
        "tracefs",
    ]
)
# fields of a line of /proc/PID/mountinfo (proc_pid_mountinfo(5)): the device, and after the separator the type
_DEVICE, _SEPARATOR = 2, " - "


def check_root(root: Path, *, field: str = "image") -> None:
    """Raises: InvalidArgument: it is on a pseudo file system, as /proc; NotFound: it does not exist."""
    try:
        device = root.stat().st_dev
    except (OSError, ValueError) as error:
        raise NotFound(f"root {root}: {error}", field=field) from error
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            mount, separator, source = line.partition(_SEPARATOR)
            if separator and mount.split(" ", _DEVICE + 1)[_DEVICE] == wanted and source.split(" ", 1)[0] in _VIEWS:
                kind = source.split(" ", 1)[0]
                raise InvalidArgument(
                    f"root {root} is in a {kind} file system: a view of the kernel and no root of a container",
                    field=field,
                )


def copy_root(
    source: Path,
    target: Path,
    *,
    most_bytes: int,
    most_entries: int,
    checkpoint: Callable[[], None],
    field: str = "image",
    name: str = "",
) -> None:
    """Copy a directory with modes, owners, links and attributes to `target`, which must not exist. All or nothing.

    Skipped are other file systems mounted in it, sockets, devices if not root, and the copy itself where it
    lies within the original.

    Args:
        most_bytes: of files, holes not counted.
        most_entries: files and directories.
        checkpoint: called wherever it can stop; an exception from it aborts the copy.
        field, name: the root's name in errors; by default as `source`.

    Raises:
        NotFound: no such directory.
        InvalidArgument: see `check_root`.
        ResourceExhausted: over a bound, or the disk is full.
        PermissionDenied: a part can't be read, or the copy can't be written.
    """
    check_root(source, field=field)
    name = name or str(source)
    try:
        _Copy(source, target, most_bytes, most_entries, checkpoint).run()
    except BaseException as error:
        remove_tree(target)
        if isinstance(error, _OverBoundError):
            message = f"root {name}: over {error.most} {error.what}, too much to copy; name a smaller image"
            raise ResourceExhausted(message, field=field, limit=error.most) from None
        if isinstance(error, OSError):
            raise _copy_error(name, error, field) from error
        raise


def _copy_error(name: str, error: OSError, field: str) -> KatrioError:
    why = f"a copy of root {name}: {error.filename or ''}: {error.strerror}"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return NotFound(why, field=field)
    if is_exhaustion(error):
        return ResourceExhausted(why, field=field)
    return PermissionDenied(why, field=field)


class _OverBoundError(Exception):
    def __init__(self, most: int, what: str) -> None:
        super().__init__(most, what)
        self.most = most
        self.what = what


class _Copy:
    def __init__(
        self, source: Path, target: Path, most_bytes: int, most_entries: int, checkpoint: Callable[[], None]
    ) -> None:
        self._source = source
        self._target = target
        self._most_bytes = most_bytes
        self._most_entries = most_entries
        self._checkpoint = checkpoint
        self._device = source.stat().st_dev
        self._root = os.geteuid() == 0
        self._entries = self._bytes = 0
        # the first copy of a hard-linked file; on an overlay, files have the device numbers of its layers
        self._linked: dict[tuple[int, int], Path] = {}
        self._directories: list[tuple[Path, Path]] = []

    def run(self) -> None:
        self._directories.append((self._source, self._target))
        own: tuple[int, int] | None = None
        # may grow during the loop
        for source_directory, target_directory in self._directories:
            target_directory.mkdir(mode=0o700)
            own = own or _identity(target_directory.lstat())
            with os.scandir(source_directory) as entries:
                for entry in entries:
                    self._checkpoint()
                    found = entry.stat(follow_symlinks=False)
                    if _identity(found) != own:
                        self._entry(Path(entry.path), target_directory / entry.name, found)
        # last, and innermost first: the mode may remove our write permission
        for source_directory, target_directory in reversed(self._directories):
            self._checkpoint()
            self._copy_metadata(source_directory, target_directory, source_directory.stat(follow_symlinks=False))

    def _entry(self, source: Path, target: Path, found: os.stat_result) -> None:
        self._entries += 1
        if self._entries > self._most_entries:
            raise _OverBoundError(self._most_entries, "files and directories")
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFDIR:
            if found.st_dev == self._device:
                self._directories.append((source, target))
                return
            target.mkdir()
        elif kind == stat.S_IFLNK:
            target.symlink_to(os.readlink(source))
        elif kind == stat.S_IFREG:
            first = self._linked.setdefault(_identity(found), target) if found.st_nlink > 1 else target
            if first != target:
                os.link(first, target, follow_symlinks=False)
                return
            self._file(source, target)
        elif kind == stat.S_IFIFO or (kind in (stat.S_IFCHR, stat.S_IFBLK) and self._root):
            os.mknod(target, found.st_mode, found.st_rdev)
        else:
            return
        self._copy_metadata(source, target, found)

    def _file(self, source: Path, target: Path) -> None:
        # it may have been replaced by a fifo or a symlink
        read = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(read)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(source))
            write = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                self._content(read, write, found)
            finally:
                os.close(write)
        finally:
            os.close(read)

    def _content(self, read: int, write: int, found: os.stat_result) -> None:
        held = min(found.st_size, found.st_blocks * _BLOCK_BYTES)
        if self._bytes + held > self._most_bytes:
            raise _OverBoundError(self._most_bytes, "bytes")
        try:
            fcntl.ioctl(write, _FICLONE, read)
        except OSError:
            position = 0
            while position < found.st_size:
                start, stop = _data(read, position, found.st_size)
                self._range(read, write, start, stop)
                position = stop
            os.ftruncate(write, found.st_size)
        else:
            self._bytes += held

    def _range(self, read: int, write: int, start: int, stop: int) -> None:
        while start < stop:
            self._checkpoint()
            piece = os.pread(read, min(_CHUNK_BYTES, stop - start), start)
            if not piece:  # it has shrunk
                return
            self._bytes += len(piece)
            if self._bytes > self._most_bytes:
                raise _OverBoundError(self._most_bytes, "bytes")
            left = memoryview(piece)
            while left:
                written = os.pwrite(write, left, start)
                start += written
                left = left[written:]

    def _copy_metadata(self, source: Path, target: Path, found: os.stat_result) -> None:
        if self._root:
            os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)
        if not stat.S_ISLNK(found.st_mode):
            target.chmod(stat.S_IMODE(found.st_mode))
        # after chown, which drops a file's capabilities
        with suppress(OSError):  # a file system without attributes
            for name in os.listxattr(source, follow_symlinks=False):
                with suppress(OSError):  # one that we may not set
                    value = os.getxattr(source, name, follow_symlinks=False)
                    os.setxattr(target, name, value, follow_symlinks=False)
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _data(read: int, position: int, size: int) -> tuple[int, int]:
    """Start and end of the next data in a file; twice the file size if there is none."""
    try:
        start = os.lseek(read, position, os.SEEK_DATA)
        return min(start, size), min(os.lseek(read, start, os.SEEK_HOLE), size)
    except OSError as error:
        # a file system without SEEK_DATA: treat all as data
        return (size, size) if error.errno == errno.ENXIO else (position, size)
