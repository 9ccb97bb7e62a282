"""Throw-away copies of unpacked roots, for agents that are not ours: what one does to a root, it does to its copy.

A real agent may write into a root that it was given, and Kata's empties those of running containers when it is asked for a
second sandbox, through their mounts. A copy and no mount: an agent has mounts of its own, and sees a file system's files
alone. Blocking. Not for how a copy is made (`copies`), nor for katrio's own guest, which lays a layer over a root and never
writes into it.
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
from actors.node.places import OWN_ADVICE, default_place, make_own, why_not_ours
from actors.node.removal import remove_tree
from actors.node.rundir import Swept
from actors.node.trees import is_mounted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from actors.limits import Limits

__all__ = ["CalledRoots", "Left", "Roots", "default_roots", "left_roots", "open_roots", "sweep_roots"]

_log = logging.getLogger("katrio")

# All that katrio ever makes. Below this user's place (`default_roots`) there are
#
#     run-XXXXXXXX/N               copies of one process, which locks the directory for its life
#     calls-ADDRESS/               of containers that `katrio call` made with the agent at one address, and which outlive it
#         listener                 who listened there (`listeners`): once that one is gone, so are its containers
#         CONTAINER-XXXXXXXX/root
#     share-PLACE                  a link to another place, below a directory that a guest shares with this host
#
# and below such another place, `.katrio-roots` in the share, run-XXXXXXXX alone. A run- without a lock was left by a killed
# owner. Whoever opens a place, and each sweep, removes what nobody uses; doctor names it.

_RUN, _CALLS, _SHARE, _SHARED_ROOTS = "run-", "calls-", "share-", ".katrio-roots"
_LISTENER, _ROOT = "listener", "root"
_WHAT = "roots of attached agents"
# while somebody else sweeps what we want to use
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
        """A copy of a root. Raises: as `copy_root`; nothing of it is left then."""
        target = self._directory / str(next(self._numbers))
        _copy(source, target, self._limits, self._checkpoint)
        return str(target)

    def remove(self, copied: str) -> None:
        """Be rid of a copy; what is none of ours is left alone."""
        if Path(copied).parent == self._directory:
            _remove(Path(copied))


@contextmanager
def open_roots(
    place: Path, limits: Limits, checkpoint: Callable[[], None], *, share: Path | None = None
) -> Generator[Roots]:
    """Copies of this process, gone with all that is in them at the end; the logger "katrio" says what could not go.

    Args:
        place: this user's.
        checkpoint: called again and again in what takes long; what it raises ends that, and no half copy is left.
        share: a directory that the agent's guest shares with this host: the copies are made there.

    Raises: PermissionDenied: they can't be made there, or others may write there.
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
    """Copies for the agent at one address, each for a container; they outlive this process, as the containers do.

    Args:
        place: this user's.
        address: the agent's, however it is written.
        socket: the path of the socket on this host that it stands for, `@` and an abstract name; None when there is none.
    """

    def __init__(self, place: Path, address: str, socket: str | None) -> None:
        self._place = place
        self._directory = place / f"{_CALLS}{_short(address)}"
        self._address = address
        self._socket = socket

    def copy(self, source: str, container: str, limits: Limits, checkpoint: Callable[[], None]) -> str:
        """A copy of a root. Raises: as `copy_root`; PermissionDenied, when it can't be made there."""
        try:
            _make(self._place)
            with self._held(checkpoint) as directory:
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
        """Be rid of one copy; what is none of ours is left alone."""
        made = Path(copied).parent
        if made.parent == self._directory:
            self._remove([made])

    def remove_container(self, container: str) -> None:
        """Be rid of all that were made for it."""
        self._remove(_named(self._directory, f"{_short(container)}-"))

    def remove_all(self) -> None:
        """The agent has no container any more."""
        self._remove([path for path in _listing(self._directory) if path.name != _LISTENER])

    @contextmanager
    def _held(self, checkpoint: Callable[[], None]) -> Generator[Path]:
        """The directory, which no sweep takes meanwhile. What is there of an agent that is gone goes first."""
        while True:
            if _calls_dead(self._directory):
                _sweep_locked(self._directory)
            with suppress(FileExistsError):
                self._directory.mkdir(mode=0o711)
            with suppress(FileNotFoundError):  # a sweep was faster than our lock
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


class Left(NamedTuple):
    """What is there of others. `dead`: a sweep would remove it; else `why` says who may use it."""

    directory: Path
    dead: bool
    why: str


def left_roots(place: Path) -> list[Left]:
    """Of dead owners, and of agents that may live; nothing of them is changed. What a living process of ours has is not told.

    Nothing in a place that others may write: there it may be theirs.
    """
    if why_not_ours(place):
        return []
    found = [Left(path, True, "") for path in _runs(place) if _run_dead(path)]
    for path in _named(place, _CALLS):
        dead = _calls_dead(path)
        listener = read_listener(path / _LISTENER)
        found.append(Left(path, dead, "" if listener is None else listener.address))
    return found


def sweep_roots(place: Path) -> list[Swept]:
    """Remove what nobody uses; nothing in a place that others may write."""
    if why_not_ours(place):
        return []
    unused = [*_runs(place), *filter(_calls_dead, _named(place, _CALLS))]
    swept = [found for path in unused if (found := _sweep_locked(path)) is not None]
    for record in _named(place, _SHARE):
        if not record.exists():
            record.unlink(missing_ok=True)
    return swept


def _runs(place: Path) -> Iterator[Path]:
    """Here and in other places that are known here."""
    yield from _named(place, _RUN)
    for record in _named(place, _SHARE):
        shared = Path(os.readlink(record))
        if not why_not_ours(shared, given=shared.parent):
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
    with suppress(OSError):  # somebody else's, or swept meanwhile
        lock = lock_directory(path)
        if lock is not None:
            os.close(lock)
            return True
    return False


def _calls_dead(path: Path) -> bool:
    """Whether the agent is gone, and nothing of its roots is mounted on this host."""
    listener = read_listener(path / _LISTENER)
    # without a word of one, its maker was killed before it copied anything
    return (listener is None or not listener_lives(listener)) and path.exists() and not is_mounted(path.name)


def _sweep_locked(path: Path, checkpoint: Callable[[], None] = lambda: None) -> Swept | None:
    """Remove it; None when somebody holds it, or it is another user's, or gone."""
    with suppress(OSError):
        lock = lock_directory(path)
        if lock is not None:
            try:
                return Swept(path, remove_tree(path, checkpoint))
            finally:
                os.close(lock)
    return None


def _make(place: Path, given: Path | None = None) -> None:
    """Raises: PermissionDenied: others may write it; OSError."""
    make_own(place, 0o755, _WHAT, OWN_ADVICE if given is None else "remove it", field="image", given=given)


def _shared(place: Path, share: Path) -> Path:
    """The place in a share, which this user's own place tells of from now on. Raises: OSError."""
    _make(place)
    shared = share / _SHARED_ROOTS
    _make(shared, share)
    with suppress(FileExistsError):
        (place / f"{_SHARE}{_short(str(shared))}").symlink_to(shared)
    return shared


def _owned(place: Path) -> tuple[Path, int]:
    while True:
        directory = Path(tempfile.mkdtemp(prefix=_RUN, dir=place))
        # an agent may be another user; a name has to be known to be used
        directory.chmod(0o711)
        with suppress(FileNotFoundError):  # a sweep was faster than our lock
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
    """A file's name for any text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
