"""Throw-away copies of unpacked roots, for agents that are not ours: what one does to a root, it does to its copy.

A real agent may write into a root that it was given, and Kata's empties those of running containers when it is asked for a
second sandbox, through their mounts. A copy and no mount: an agent has mounts of its own, and sees a file system's files
alone. Where the file system can share blocks (FICLONE) a copy costs next to nothing.

The directory of one owner is locked for its life; what a killed one left is removed by whoever opens the place next. Not for
katrio's own guest, which lays a layer over a root and never writes into it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import shutil
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from actors.errors import NotFound, PermissionDenied, ResourceExhausted
from actors.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

__all__ = ["Roots", "abandoned_roots", "copy_root", "default_roots", "open_roots", "sweep_roots"]

_OWNED = "run-"
# linux/fs.h: _IOW(0x94, 9, int)
_FICLONE = 0x40049409


def default_roots(environment: Mapping[str, str], uid: int) -> Path:
    """`/var/lib/katrio/roots` for root; else below `$XDG_CACHE_HOME` or `~/.cache`."""
    if uid == 0:
        return Path("/var/lib/katrio/roots")
    cache = environment.get("XDG_CACHE_HOME") or os.path.join(environment.get("HOME", f"/tmp/katrio-{uid}"), ".cache")
    return Path(cache) / "katrio" / "roots"


class Roots:
    """Copies below one directory of ours. Its methods block."""

    def __init__(self, directory: Path, limits: Limits) -> None:
        self._directory = directory
        self._limits = limits
        self._numbers = itertools.count(1)

    def copy(self, source: str) -> str:
        """A copy of a root. Raises: as `copy_root`; nothing of it is left then."""
        target = self._directory / str(next(self._numbers))
        try:
            copy_root(Path(source), target, self._limits)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
        return str(target)

    def remove(self, copied: str) -> None:
        """Be rid of a copy; what is none of ours is left alone."""
        if Path(copied).parent == self._directory:
            shutil.rmtree(copied, ignore_errors=True)


@contextmanager
def open_roots(place: Path, limits: Limits = DEFAULT_LIMITS) -> Generator[Roots]:
    """Copies below `place`, gone with all that is in them at the end. Blocking.

    Raises: PermissionDenied: `place` can't be made or written.
    """
    sweep_roots(place)
    directory, lock = _owned(place)
    try:
        yield Roots(directory, limits)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def sweep_roots(place: Path) -> list[Path]:
    """Remove the copies of owners that are dead; what was removed."""
    swept: list[Path] = []
    for path in _all(place):
        with suppress(OSError):  # somebody else's, swept meanwhile, or its owner lives
            lock = _lock(path)
            try:
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)
            swept.append(path)
    return swept


def abandoned_roots(place: Path) -> list[Path]:
    """The copies that `sweep_roots` would remove; nothing of them is changed."""
    found: list[Path] = []
    for path in _all(place):
        with suppress(OSError):
            os.close(_lock(path))
            found.append(path)
    return found


def _all(place: Path) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if path.name.startswith(_OWNED))
    except OSError:
        return []


def _owned(place: Path) -> tuple[Path, int]:
    try:
        place.mkdir(mode=0o755, parents=True, exist_ok=True)
        while True:
            directory = Path(tempfile.mkdtemp(prefix=_OWNED, dir=place))
            # an agent may be another user; a name has to be known to be used
            directory.chmod(0o711)
            with suppress(FileNotFoundError, BlockingIOError):  # a sweep was faster than our lock
                return directory, _lock(directory)
    except OSError as error:
        raise PermissionDenied(f"roots of attached agents, {place}: {error.strerror}", field="image") from error


def _lock(directory: Path) -> int:
    """Raises: BlockingIOError when somebody holds it, FileNotFoundError when it is gone."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.stat(directory)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def copy_root(source: Path, target: Path, limits: Limits = DEFAULT_LIMITS) -> None:
    """Copy a directory with its modes, owners, links and attributes to `target`, which must not be there.

    Other file systems that are mounted in it, and sockets, stay out. Blocking.

    Raises:
        NotFound: there is no such directory.
        ResourceExhausted: it has more than an image may have, or the disk is full.
        PermissionDenied: a part of it can't be read, or the copy not be written.
    """
    try:
        _Copy(source, limits).run(source, target)
    except FileNotFoundError as error:
        raise NotFound(f"root {source}: {error.filename}: {error.strerror}", field="image") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceExhausted(f"a copy of root {source}: {error.strerror}", field="image") from error
        raise PermissionDenied(f"a copy of root {source}: {error.filename}: {error.strerror}", field="image") from error


class _Copy:
    def __init__(self, source: Path, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._device = source.stat().st_dev
        self._root = os.geteuid() == 0
        self._entries = self._bytes = 0
        # the first copy of a file with several names
        self._linked: dict[int, Path] = {}
        self._directories: list[tuple[Path, Path]] = []

    def run(self, source: Path, target: Path) -> None:
        self._directories.append((source, target))
        # it grows meanwhile
        for source_directory, target_directory in self._directories:
            target_directory.mkdir(mode=0o700)
            with os.scandir(source_directory) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    self._entry(Path(entry.path), target_directory / entry.name, found)
        # last, and the innermost first: it may take the right to write away
        for source_directory, target_directory in reversed(self._directories):
            self._dress(source_directory, target_directory, source_directory.stat(follow_symlinks=False))

    def _entry(self, source: Path, target: Path, found: os.stat_result) -> None:
        self._count(found)
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFDIR:
            if found.st_dev == self._device:
                self._directories.append((source, target))
                return
            target.mkdir()
        elif kind == stat.S_IFLNK:
            target.symlink_to(os.readlink(source))
        elif kind == stat.S_IFREG:
            first = self._linked.setdefault(found.st_ino, target) if found.st_nlink > 1 else target
            if first != target:
                os.link(first, target, follow_symlinks=False)
                return
            _copy_bytes(source, target)
        elif kind == stat.S_IFIFO or (kind in (stat.S_IFCHR, stat.S_IFBLK) and self._root):
            os.mknod(target, found.st_mode, found.st_rdev)
        else:
            return
        self._dress(source, target, found)

    def _count(self, found: os.stat_result) -> None:
        self._entries += 1
        self._bytes += found.st_size if stat.S_ISREG(found.st_mode) else 0
        for number, most, what in (
            (self._entries, self._limits.image_entries, "files and directories"),
            (self._bytes, self._limits.image_bytes, "bytes"),
        ):
            if number > most:
                raise ResourceExhausted(
                    f"root {self._source}: over {most} {what}, too much to copy for an attached agent; name a smaller image",
                    field="image",
                    limit=most,
                )

    def _dress(self, source: Path, target: Path, found: os.stat_result) -> None:
        if self._root:
            os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)
        link = stat.S_ISLNK(found.st_mode)
        if not link:
            target.chmod(stat.S_IMODE(found.st_mode))
        # after the owner: a change of that drops a file's capabilities
        with contextlib.suppress(OSError):  # a file system without attributes, or one that is not ours to give
            for name in os.listxattr(source, follow_symlinks=False):
                os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)


def _copy_bytes(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("xb") as write:
        try:
            fcntl.ioctl(write.fileno(), _FICLONE, read.fileno())
        except OSError:
            shutil.copyfileobj(read, write, 1024 * 1024)
