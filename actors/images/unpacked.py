"""The unpacked roots on this machine, complete and unmodified, and cleanup of what killed processes left.

For `store`, which knows what a root is made of, and for sweep and doctor. Here a root is just a
tree with a size.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import select
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from actors.errors import PermissionDenied, ResourceExhausted
from actors.images.budget import ENTRY_BYTES
from actors.node.locks import lock_file
from actors.node.places import OWN_ADVICE, check_own, make_own, untrusted_reason
from actors.node.removal import remove_tree
from actors.node.rundir import Swept
from actors.node.trees import Print, is_mounted, print_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from actors.limits import Limits

__all__ = ["PartialRoot", "Store", "abandoned_images", "sweep_images", "used_bytes"]

_log = logging.getLogger("katrio")

# Each root has a directory below the store's, accessible only to its owner: an image may contain set-user-id
# programs, which other users of this machine must not reach.
#
#     NAME/root                  the root itself, which is handed out
#     NAME/manifest              its content when it was made (`trees.Print`): checked each time before it is handed out
#     .building-NAME/            the same while it is made; its maker holds `lock` for as long as it lives
#     .removing-XXXXXXXX/        to be removed: a partial root, or one that was modified
#     .lock                      held briefly, while one of these is claimed, checked or moved
#
# One process makes a root of a given name, and others wait for it. A root appears complete, by rename. A killed maker
# leaves a directory with a free lock: the next maker of the same root removes it, and so does a sweep. A root that was
# modified (an agent may have emptied it) is moved away and made anew; what containers still have mounted
# of it stays until it is unused.

_BUILDING, _REMOVING, _GATE = ".building-", ".removing-", ".lock"
_ROOT, _MANIFEST, _LOCK = "root", "manifest", "lock"
# all formats of root names so far
_NAME = re.compile(r"(sha256-[0-9a-f]{64}-[0-9]+|busybox-[0-9]+-[0-9a-f]{16})\Z")
# poll interval while another process makes the root, or holds the lock
_PAUSE_SECONDS = 0.02
# 5 s
_SWEEP_ROUNDS = 250
# less space than this counts as full
_LEAST_BYTES = 4 * 1024 * 1024
_MANIFEST_BYTES = 4096


class PartialRoot:
    """A root being made, below `root`; `aside` is another empty directory, which does not become part of it."""

    def __init__(self, path: Path, room: int) -> None:
        self.path = path
        self.root = path / _ROOT
        self.aside = path / "aside"
        # in bytes; each entry is charged `ENTRY_BYTES` extra
        self.room = room


class Store:
    """Roots below one directory of ours, each made once."""

    def __init__(self, place: Path, limits: Limits, checkpoint: Callable[[], None]) -> None:
        """`checkpoint` is called in anything that may take long, and raises to cancel."""
        self._place = place
        self._limits = limits
        self._checkpoint = checkpoint

    def made(self, name: str, fill: Callable[[PartialRoot], None]) -> Path:
        """The root of that name, filled by `fill` if it is missing or modified; never visible partially filled.

        Raises:
            PermissionDenied: the store can't be written, or others can write to it.
            ResourceExhausted: the store is full.
        """
        target = self._place / name
        with _reporting_store_errors(self._place):
            # existing content would be trusted as ours
            check_own(self._place, "image store", OWN_ADVICE)
            while True:
                seen = _identity(target)
                changed = self._change(target)
                if changed == "":
                    return target / _ROOT
                make_own(self._place, 0o755, "image store", OWN_ADVICE)
                half = self._claim(target, changed, seen)
                if half is None:
                    self._checkpoint()
                    select.select((), (), (), _PAUSE_SECONDS)
                    continue
                with half as begun:
                    # another process may have made it just before
                    if not os.path.lexists(target):
                        fill(begun)
                        self._complete(begun, target)
                        return target / _ROOT

    def _change(self, target: Path) -> str | None:
        """How an existing root differs from its manifest; empty if unmodified, None if there is no root."""
        manifest = _manifest(target)
        if manifest is None:
            return "it has no manifest" if os.path.lexists(target) else None
        try:
            found = print_of(target / _ROOT, self._checkpoint, manifest.entries)
        except (FileNotFoundError, NotADirectoryError):
            return "it is gone"
        if found == manifest:
            return ""
        return f"it had {manifest.entries} entries with {manifest.size} bytes and has {found.entries} with {found.size}"

    def _claim(self, target: Path, changed: str | None, seen: tuple[int, int] | None) -> _Claimed | None:
        """The right to make a root; None if another process is making it, or something had to be moved away first."""
        half = self._place / f"{_BUILDING}{target.name}"
        trash: Path | None = None
        with _gate(self._place, self._checkpoint):
            held = _lock_of(half) if os.path.lexists(half) else None
            if held is not None:
                trash = _moved_away(half)
                os.close(held)
            elif os.path.lexists(half):
                return None
            elif changed is not None and _identity(target) == seen:
                _log.warning(
                    "image %s has been changed since it was unpacked (%s): it is made anew", target.name, changed
                )
                trash = _moved_away(target)
            else:
                room = self._room()
                half.mkdir(mode=0o700)
                descriptor = lock_file(half / _LOCK, wait=False)
                assert descriptor is not None
                os.write(descriptor, b"%d" % room)
                return _Claimed(PartialRoot(half, room), descriptor)
        _remove_unused(trash)
        return None

    def _room(self) -> int:
        """The space for another root, in bytes, less reservations of those being made. Raises: ResourceExhausted."""
        most = self._limits.image_store_bytes
        room = min(most - used_bytes(self._place), self._limits.image_bytes + ENTRY_BYTES * self._limits.image_entries)
        if room < _LEAST_BYTES:
            raise ResourceExhausted(
                f"image store {self._place} is full: its images, and what is being unpacked, have {most - max(room, 0)} of "
                f"{most} bytes; remove directories there that no container uses",
                limit=most,
                field="image",
            )
        return room

    def _complete(self, half: PartialRoot, target: Path) -> None:
        """Rename it to its final name."""
        remove_tree(half.aside)
        manifest = print_of(half.root, self._checkpoint)
        (half.path / _MANIFEST).write_bytes(msgspec.json.encode(manifest))
        half.path.rename(target)
        (target / _LOCK).unlink()


class _Claimed:
    """A partial root of ours while it is made; at the block's end it is either complete or removed."""

    def __init__(self, half: PartialRoot, descriptor: int) -> None:
        self._half = half
        self._descriptor = descriptor

    def __enter__(self) -> PartialRoot:
        try:
            for directory in (self._half.root, self._half.aside):
                directory.mkdir(mode=0o700)
        except BaseException:
            self.__exit__()
            raise
        return self._half

    def __exit__(self, *_: object) -> None:
        if os.path.lexists(self._half.path):
            # renamed first, which frees its name. Nobody else moves it while we hold its lock
            remove_tree(_moved_away(self._half.path))
        os.close(self._descriptor)


@contextmanager
def _reporting_store_errors(place: Path) -> Generator[None]:
    """Map OS errors to errors of the store."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise ResourceExhausted(f"image store {place}: {error.strerror}", field="image") from error
        raise PermissionDenied(f"image store {place}: {error.strerror}; {OWN_ADVICE}") from error


def _identity(path: Path) -> tuple[int, int] | None:
    """A directory's identity: differs for another one of the same name."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_ctime_ns


@contextmanager
def _gate(place: Path, checkpoint: Callable[[], None]) -> Generator[None]:
    """The store's own lock, held briefly."""
    while (descriptor := lock_file(place / _GATE, wait=False)) is None:
        checkpoint()
        select.select((), (), (), _PAUSE_SECONDS)
    try:
        yield
    finally:
        os.close(descriptor)


class _BoundedWait:
    """A checkpoint with a timeout, for callers that are never cancelled: don't wait for a stopped lock holder."""

    def __init__(self) -> None:
        self._left = _SWEEP_ROUNDS

    def __call__(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise BlockingIOError(
                errno.EAGAIN, "the image store's lock is held by a process that does not let go of it"
            )


def _lock_of(half: Path) -> int | None:
    """The lock of a partial root whose maker is dead; None while it lives."""
    return lock_file(half / _LOCK, wait=False)


def _moved_away(path: Path) -> Path:
    """Rename it to a unique name, from which it is removed."""
    place = Path(tempfile.mkdtemp(prefix=_REMOVING, dir=path.parent))
    try:
        # rename replaces the empty directory
        return path.rename(place)
    except OSError:
        place.rmdir()
        raise


def _remove_unused(trash: Path | None) -> bool:
    """Remove it unless it is mounted somewhere; whether it is gone."""
    return trash is not None and not is_mounted(trash.name) and remove_tree(trash)


def _manifest(directory: Path) -> Print | None:
    with suppress(OSError, msgspec.DecodeError), (directory / _MANIFEST).open("rb") as file:
        return msgspec.json.decode(file.read(_MANIFEST_BYTES), type=Print)
    return None


def used_bytes(place: Path) -> int:
    """The size of all roots, including reservations of those being made; each entry counts `ENTRY_BYTES` extra."""
    used = 0
    for name in _names(place):
        manifest = _manifest(place / name)
        if manifest is not None:
            used += manifest.size + ENTRY_BYTES * manifest.entries
        elif name.startswith(_BUILDING):
            with suppress(OSError, ValueError):
                used += int((place / name / _LOCK).read_bytes() or b"0")
    return used


def _names(place: Path) -> list[str]:
    try:
        return sorted(os.listdir(place))
    except OSError:
        return []


def _dead(place: Path) -> Generator[Path]:
    """What no living process makes or uses. The caller holds the store's lock."""
    for name in _names(place):
        path = place / name
        if path.is_symlink() or not path.is_dir():
            continue
        if name.startswith(_BUILDING):
            with suppress(OSError):
                held = _lock_of(path)
                if held is not None:
                    os.close(held)
                    yield path
        # roots without a manifest are from older versions of katrio
        elif (name.startswith(_REMOVING) or (_NAME.match(name) and not _manifest(path))) and not is_mounted(name):
            yield path


def abandoned_images(place: Path) -> list[str]:
    """What a sweep would remove from a store, sorted; changes nothing. Raises: OSError."""
    if not os.access(place, os.W_OK) or untrusted_reason(place):
        return []
    with _gate(place, _BoundedWait()):
        return [path.name for path in _dead(place)]


def sweep_images(place: Path) -> list[Swept]:
    """Remove what killed makers left in a store, and moved-away roots that are no longer used.

    A store that can't be examined is reported as not clean: a stopped process may hold its lock.
    """
    if not os.access(place, os.W_OK) or untrusted_reason(place):
        return []
    try:
        with _gate(place, _BoundedWait()):
            found = [(path, path if path.name.startswith(_REMOVING) else _moved_away(path)) for path in _dead(place)]
    except OSError:
        return [Swept(place, False)]
    return [Swept(path, remove_tree(trash)) for path, trash in found]
