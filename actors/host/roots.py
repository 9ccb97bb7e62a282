"""Throw-away copies of unpacked roots, for agents that are not ours: what one does to a root, it does to its copy.

A real agent may write into a root that it was given, and Kata's empties those of running containers when it is asked for a
second sandbox, through their mounts. A copy and no mount: an agent has mounts of its own, and sees a file system's files
alone.

The directory of one owner is locked for its life; what a killed one left is removed by whoever opens the place next. Not for
katrio's own guest, which lays a layer over a root and never writes into it.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from actors.errors import PermissionDenied
from actors.host.copies import copy_root

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from actors.limits import Limits

__all__ = ["Roots", "abandoned_roots", "default_roots", "open_roots", "sweep_roots"]

_OWNED = "run-"


def default_roots(environment: Mapping[str, str], uid: int) -> Path:
    """`/var/lib/katrio/roots` for root; else below `$XDG_CACHE_HOME` or `~/.cache`."""
    if uid == 0:
        return Path("/var/lib/katrio/roots")
    cache = environment.get("XDG_CACHE_HOME") or os.path.join(environment.get("HOME", f"/tmp/katrio-{uid}"), ".cache")
    return Path(cache) / "katrio" / "roots"


class Roots:
    """Copies below one directory of ours. Its methods block."""

    def __init__(self, directory: Path, limits: Limits, checkpoint: Callable[[], None]) -> None:
        self._directory = directory
        self._limits = limits
        self._checkpoint = checkpoint
        self._numbers = itertools.count(1)

    def copy(self, source: str) -> str:
        """A copy of a root. Raises: as `copy_root`; nothing of it is left then."""
        target = self._directory / str(next(self._numbers))
        copy_root(
            Path(source),
            target,
            most_bytes=self._limits.image_bytes,
            most_entries=self._limits.image_entries,
            checkpoint=self._checkpoint,
        )
        return str(target)

    def remove(self, copied: str) -> None:
        """Be rid of a copy; what is none of ours is left alone."""
        if Path(copied).parent == self._directory:
            shutil.rmtree(copied, ignore_errors=True)


@contextmanager
def open_roots(place: Path, limits: Limits, checkpoint: Callable[[], None]) -> Generator[Roots]:
    """Copies below `place`, gone with all that is in them at the end. Blocking.

    `checkpoint` is called again and again in what takes long; what it raises ends that, and no half copy is left.

    Raises: PermissionDenied: `place` can't be made or written.
    """
    sweep_roots(place)
    directory, lock = _owned(place)
    try:
        yield Roots(directory, limits, checkpoint)
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
