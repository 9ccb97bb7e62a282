"""Disposable copies of unpacked roots, for foreign agents: whatever one does to a root, it does to its copy.

A real agent may write to a root that it was given, and Kata's empties those of running containers, through their
mounts, when asked for a second sandbox. Copies rather than mounts, as an agent may be in another mount namespace, and
see only the files of a file system. Blocking. Copying is in `copies`; katrio's own guest never writes to a root, and
needs no copy.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import select
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from actors.errors import PermissionDenied
from actors.node.copies import copy_root
from actors.node.listeners import listener_at, listener_lives, read_listener, write_listener
from actors.node.locks import lock_directory
from actors.node.places import OWN_ADVICE, default_place, make_own, untrusted_reason
from actors.node.removal import remove_tree
from actors.node.rundir import Swept
from actors.node.trees import is_mounted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from actors.limits import Limits

__all__ = ["CalledRoots", "Leftover", "Roots", "default_roots", "leftover_roots", "open_roots", "sweep_roots"]

_log = logging.getLogger("katrio")

# Everything that is ever created. Below this user's place (`default_roots`) there are
#
#     run-XXXXXXXX/N               copies of one process, which locks the directory for its life
#     calls-ADDRESS/               for containers made by `katrio call` with the agent at one address, which outlive the command
#         listener                 who listened there (`listeners`): once that is gone, so are its containers
#         CONTAINER-XXXXXXXX/root
#     share-PLACE                  a symlink to another place, below a directory that a guest shares with this host
#
# and below such another place, `.katrio-roots` in the share, only run-XXXXXXXX. A run- without a lock was left by a
# killed owner. Opening a place, and each sweep, removes what is unused; doctor reports it.

_RUN, _CALLS, _SHARE, _SHARED_ROOTS = "run-", "calls-", "share-", ".katrio-roots"
_LISTENER, _ROOT = "listener", "root"
_WHAT = "roots of attached agents"
# poll interval while a sweep holds what we want to use
_PAUSE_SECONDS = 0.02


def default_roots(environment: Mapping[str, str], uid: int) -> Path:
    """`/var/lib/katrio/roots` for root; else see `default_place`."""
    return default_place(environment, uid, "roots")


class Roots:
    """Copies below one directory of ours."""

    def __init__(self, directory: Path, limits: Limits, checkpoint: Callable[[], None]) -> None:
        self._directory = directory
        self._limits = limits
        self._checkpoint = checkpoint
        self._numbers = itertools.count(1)

    def copy(self, source: str) -> str:
        """Copy a root. Raises: as `copy_root`; nothing of it is left then."""
        target = self._directory / str(next(self._numbers))
        _copy(source, target, self._limits, self._checkpoint)
        return str(target)

    def remove(self, copied: str) -> None:
        """Remove a copy; other paths are ignored."""
        if Path(copied).parent == self._directory:
            _remove(Path(copied))


@contextmanager
def open_roots(
    place: Path, limits: Limits, checkpoint: Callable[[], None], *, share: Path | None = None
) -> Generator[Roots]:
    """Copies for this process, removed at the end; failures to remove are logged ("katrio").

    Args:
        place: this user's.
        checkpoint: called repeatedly in long operations; an exception from it aborts them, without leaving partial copies.
        share: a directory that the agent's guest shares with this host: the copies are made there.

    Raises: PermissionDenied: they can't be made there, or others can write there.
    """
    try:
        if share is None:
            _make(place)
        else:
            place = _shared(place, share)
        _sweep_runs(place, checkpoint)
        directory, lock = _owned(place)
    except OSError as error:
        raise PermissionDenied(f"{_WHAT} {place}: {error.strerror}", field="image") from error
    try:
        yield Roots(directory, limits, checkpoint)
    finally:
        _remove(directory)
        os.close(lock)


class CalledRoots:
    """Copies for the agent at one address, each for a container; like the containers, they outlive this process.

    Args:
        place: this user's.
        address: the agent's, in any spelling.
        socket: its local socket's path, or `@` and an abstract name; None if there is none.
    """

    def __init__(self, place: Path, address: str, socket: str | None) -> None:
        self._place = place
        self._directory = place / f"{_CALLS}{_short(address)}"
        self._address = address
        self._socket = socket

    def copy(self, source: str, container: str, limits: Limits, checkpoint: Callable[[], None]) -> str:
        """Copy a root. Raises: as `copy_root`; PermissionDenied, if it can't be made there."""
        try:
            _make(self._place)
            with self._locked_directory(checkpoint) as directory:
                made = Path(tempfile.mkdtemp(prefix=f"{_short(container)}-", dir=directory))
                made.chmod(0o711)
                try:
                    _copy(source, made / _ROOT, limits, checkpoint)
                except BaseException:
                    remove_tree(made)
                    raise
        except OSError as error:
            raise PermissionDenied(f"{_WHAT} {self._directory}: {error.strerror}", field="image") from error
        return str(made / _ROOT)

    def remove(self, copied: str) -> None:
        """Remove one copy; other paths are ignored."""
        made = Path(copied).parent
        if made.parent == self._directory:
            self._remove([made])

    def remove_container(self, container: str) -> None:
        """Remove all copies made for it."""
        self._remove(_named(self._directory, f"{_short(container)}-"))

    def remove_all(self) -> None:
        """The agent has no container any more: remove all copies."""
        self._remove([path for path in _listing(self._directory) if path.name != _LISTENER])

    @contextmanager
    def _locked_directory(self, checkpoint: Callable[[], None]) -> Generator[Path]:
        """The directory, locked against sweeps. Removes what a dead agent left first."""
        while True:
            if _calls_dead(self._directory):
                _sweep_locked(self._directory)
            with suppress(FileExistsError):
                self._directory.mkdir(mode=0o711)
            with suppress(FileNotFoundError):  # a sweep got it before our lock
                lock = lock_directory(self._directory, shared=True)
                if lock is not None:
                    break
                checkpoint()
                select.select((), (), (), _PAUSE_SECONDS)
        try:
            write_listener(self._directory / _LISTENER, listener_at(self._address, self._socket))
            yield self._directory
        finally:
            os.close(lock)

    def _remove(self, found: list[Path]) -> None:
        for made in found:
            _remove(made)
        with suppress(OSError):
            if [path.name for path in _listing(self._directory)] == [_LISTENER]:
                _sweep_locked(self._directory)


class Leftover(NamedTuple):
    """An existing copy of others. `dead`: a sweep would remove it; otherwise `why` says who may use it."""

    directory: Path
    dead: bool
    why: str


def leftover_roots(place: Path) -> list[Leftover]:
    """Copies of dead owners, and of agents that may live; changes nothing. Those of living processes are omitted.

    A place that others can write to is skipped: the content may be theirs.
    """
    if untrusted_reason(place):
        return []
    found = [Leftover(path, True, "") for path in _runs(place) if _run_dead(path)]
    for path in _named(place, _CALLS):
        dead = _calls_dead(path)
        listener = read_listener(path / _LISTENER)
        found.append(Leftover(path, dead, "" if listener is None else listener.address))
    return found


def sweep_roots(place: Path) -> list[Swept]:
    """Remove unused copies; skips places that others can write to."""
    if untrusted_reason(place):
        return []
    unused = [*_runs(place), *filter(_calls_dead, _named(place, _CALLS))]
    swept = [found for path in unused if (found := _sweep_locked(path)) is not None]
    for record in _named(place, _SHARE):
        if not record.exists():
            record.unlink(missing_ok=True)
    return swept


def _runs(place: Path) -> Iterator[Path]:
    """Here and in other places registered here."""
    yield from _named(place, _RUN)
    for record in _named(place, _SHARE):
        shared = Path(os.readlink(record))
        if not untrusted_reason(shared, given=shared.parent):
            yield from _named(shared, _RUN)


def _named(place: Path, prefix: str) -> list[Path]:
    return [path for path in _listing(place) if path.name.startswith(prefix)]


def _listing(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _sweep_runs(place: Path, checkpoint: Callable[[], None]) -> None:
    for path in _named(place, _RUN):
        _sweep_locked(path, checkpoint)


def _run_dead(path: Path) -> bool:
    with suppress(OSError):  # another user's, or swept meanwhile
        lock = lock_directory(path)
        if lock is not None:
            os.close(lock)
            return True
    return False


def _calls_dead(path: Path) -> bool:
    """Whether the agent is gone, and none of its roots is mounted on this host."""
    listener = read_listener(path / _LISTENER)
    # without a listener file, its maker was killed before it copied anything
    return (listener is None or not listener_lives(listener)) and path.exists() and not is_mounted(path.name)


def _sweep_locked(path: Path, checkpoint: Callable[[], None] = lambda: None) -> Swept | None:
    """Remove it; None if it is locked, another user's, or gone."""
    with suppress(OSError):
        lock = lock_directory(path)
        if lock is not None:
            try:
                return Swept(path, remove_tree(path, checkpoint))
            finally:
                os.close(lock)
    return None


def _make(place: Path, given: Path | None = None) -> None:
    """Raises: PermissionDenied: others can write to it; OSError."""
    make_own(place, 0o755, _WHAT, OWN_ADVICE if given is None else "remove it", field="image", given=given)


def _shared(place: Path, share: Path) -> Path:
    """The place in a share; registers it in this user's own place. Raises: OSError."""
    _make(place)
    shared = share / _SHARED_ROOTS
    _make(shared, share)
    with suppress(FileExistsError):
        (place / f"{_SHARE}{_short(str(shared))}").symlink_to(shared)
    return shared


def _owned(place: Path) -> tuple[Path, int]:
    while True:
        directory = Path(tempfile.mkdtemp(prefix=_RUN, dir=place))
        # the agent may run as another user; names can be used but not listed
        directory.chmod(0o711)
        with suppress(FileNotFoundError):  # a sweep got it before our lock
            lock = lock_directory(directory)
            if lock is not None:
                return directory, lock


def _copy(source: str, target: Path, limits: Limits, checkpoint: Callable[[], None]) -> None:
    most = limits.image_bytes, limits.image_entries
    copy_root(Path(source), target, most_bytes=most[0], most_entries=most[1], checkpoint=checkpoint)


def _remove(path: Path) -> None:
    if not remove_tree(path):
        _log.warning("%s is left: not all in it could be removed, as what an agent made there as another user", path)


def _short(text: str) -> str:
    """A file name for any text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
