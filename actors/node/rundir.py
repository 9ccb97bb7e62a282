"""Run directories: one per sandbox, owned by a live launcher, swept when that is dead.

For the launcher (which claims one), the host process (which names one, and sweeps a dead guest's) and the start of
every command (which sweeps all). Ownership is a lock held for life; a directory's name proves nothing, and only members
of the cgroup in its marker are killed, or processes with the marker's token. A launcher holds its cgroup as well, so
that an orphaned one whose directory was removed can be told from a live one.
"""

from __future__ import annotations

import errno
import json
import os
import select
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from actors.errors import AlreadyExists, InvalidArgument, PermissionDenied, ResourceExhausted
from actors.ids import is_plain
from actors.node.cgroups import (
    CgroupLayout,
    group_is_locked,
    groups,
    members,
    read_layout,
    remove_group,
    sandbox_group,
    sweep_group,
    sweep_orphan,
)
from actors.node.locks import lock_file
from actors.node.marks import kill_marked, read_process
from actors.node.places import make_directories, untrusted_reason
from actors.node.protocols import Channel
from actors.node.removal import remove_tree
from transports.locks import take_lock

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from actors.errors import KatrioError

__all__ = [
    "Owner",
    "RunDirectory",
    "Swept",
    "abandoned",
    "as_run_root",
    "check_run_root",
    "claim",
    "default_run_root",
    "held_log",
    "make_run_root",
    "sweep",
    "sweep_directory",
    "sweep_own",
]

# sun_path is 108 bytes with its final NUL
SOCKET_PATH_BYTES = 107
# an id, and what makes it unlike that of an earlier one
_NAME_LENGTH = 80
# a guest may outlive its dead launcher by up to 2 s
_DYING_ROUNDS, _DYING_PAUSE = 200, 0.01
_OTHER_ROOT_ADVICE = "name another with --run-dir (run_dir= in a program), or set TMPDIR"
_LOCK, _OWNER, _ROOT_LOCK, _LOG = "lock", "owner.json", ".lock", ".log"


class Owner(NamedTuple):
    """The marker file in a run directory; `start` is field 22 of `/proc/PID/stat`, in clock ticks since boot."""

    boot: str
    pid: int
    start: int
    group: str
    token: str


class Swept(NamedTuple):
    """The result of sweeping one directory, log or cgroup; `clean` is False if a process or a group could not be removed."""

    directory: Path
    clean: bool


def default_run_root(environment: Mapping[str, str], uid: int) -> Path:
    """`/run/katrio` for root; else `$XDG_RUNTIME_DIR/katrio`, or `katrio-UID` in `$TMPDIR` or `/tmp`."""
    if uid == 0:
        return Path("/run/katrio")
    for name, below in (("XDG_RUNTIME_DIR", "katrio"), ("TMPDIR", f"katrio-{uid}")):
        place = Path(environment.get(name, ""))
        if place.is_absolute():
            return place / below
    return Path(f"/tmp/katrio-{uid}")


class RunDirectory:
    """The paths of one sandbox's directory. Pure: nothing is created.

    Raises:
        InvalidArgument: the path is relative, its last component is no plain name, or a socket's path exceeds 107 bytes.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_absolute() or not is_plain(path.name, _NAME_LENGTH):
            raise InvalidArgument(
                f"run directory {str(path)!r}: need an absolute path whose last part is a plain name", field="run_dir"
            )
        self.path = path
        # virtcontainers' names where they exist
        self.sockets = {
            Channel.AGENT: path / "guest.sock",
            Channel.CONTROL: path / "hyper.sock",
            Channel.STREAMS: path / "tty.sock",
        }
        self.log = path.parent / f"{path.name}{_LOG}"
        # mount point of a tmpfs that only the guest sees
        self.state = path / "state"
        size = max(len(os.fsencode(socket)) for socket in self.sockets.values())
        if size > SOCKET_PATH_BYTES:
            raise InvalidArgument(
                f"run directory {str(path)!r}: its socket's path has {size} bytes, and the kernel takes {SOCKET_PATH_BYTES}; use a shorter run root",
                field="run_dir",
            )

    @property
    def group(self) -> str:
        """The parent cgroup of the sandbox's containers."""
        return sandbox_group(self.path.name)


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_time(pid: int) -> int | None:
    """The start time of a live process; None if it is gone, or a zombie."""
    fact = read_process(pid)
    return fact.start if fact is not None and fact.alive else None


def check_run_root(root: Path) -> None:
    """Check that run directories could be made below `root`; creates nothing.

    Raises: PermissionDenied, ResourceExhausted, InvalidArgument; each says what to do.
    """
    place = root
    try:
        while not os.path.lexists(place):
            place = place.parent
        found = place.lstat() if place == root else place.stat()
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
        why = untrusted_reason(root, private=True)
        if why:
            raise PermissionDenied(
                f"run root {root}: must be a directory of uid {os.geteuid()} with mode 0700, and the way to it nobody else's: "
                f"{why}; remove it, or {_OTHER_ROOT_ADVICE}"
            )
        if os.statvfs(place).f_flag & os.ST_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(place))
        if not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
    except OSError as error:
        raise _run_root_error(root, error) from None


def _run_root_error(root: Path, error: OSError) -> KatrioError:
    """An OS error for a run root, as an error of ours with advice."""
    where = f" ({error.filename})" if error.filename not in (None, str(root)) else ""
    message = f"run root {root} can't be used: {error.strerror}{where}; {_OTHER_ROOT_ADVICE}"
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return PermissionDenied(message)
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP):
        return InvalidArgument(message, field="run_dir")
    return ResourceExhausted(message)


def as_run_root(path: str | os.PathLike[str]) -> Path:
    """A directory given by a program, made absolute. Raises: InvalidArgument."""
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArgument(f"run directory {str(path)[:80]!r}: expected a path", field="run_dir")
    return Path(path).absolute()


def make_run_root(root: Path) -> None:
    """Create it if missing. Raises: PermissionDenied, ResourceExhausted, InvalidArgument; each says what to do."""
    try:
        # checked before too: create nothing in a foreign directory
        check_run_root(root)
        make_directories(root, 0o700)
    except OSError as error:
        raise _run_root_error(root, error) from None
    except ValueError as error:  # contains NUL, or a lone surrogate
        raise InvalidArgument(f"run root {str(root)!r}: {error}; {_OTHER_ROOT_ADVICE}", field="run_dir") from None
    check_run_root(root)


def claim(directory: RunDirectory, layout: CgroupLayout) -> tuple[Owner, int]:
    """Create the directory and own it until the returned descriptor (shared with forks) is closed everywhere.

    Raises:
        AlreadyExists: the directory exists (sweep first), or its cgroup has members.
        PermissionDenied: the run root is not private to us.
    """
    root = directory.path.parent
    make_run_root(root)
    gate = lock_file(root / _ROOT_LOCK, wait=True)
    assert gate is not None
    try:
        if members(layout, directory.group) or not remove_group(layout, directory.group):
            raise AlreadyExists(f"control group {directory.group} has members; name the sandbox's directory otherwise")
        try:
            directory.path.mkdir(mode=0o700)
        except FileExistsError:
            raise AlreadyExists(
                f"run directory {directory.path} is there already; another sandbox has this name"
            ) from None
        descriptor = lock_file(directory.path / _LOCK, wait=False)
        assert descriptor is not None
        pid = os.getpid()
        owner = Owner(_boot_id(), pid, _start_time(pid) or 0, directory.group, os.urandom(16).hex())
        (directory.path / _OWNER).write_text(json.dumps(owner._asdict()))
        directory.state.mkdir(mode=0o700)
    finally:
        os.close(gate)
    return owner, descriptor


@contextmanager
def held_log(directory: RunDirectory) -> Generator[None]:
    """During the block, no sweep removes the log as a dead guest's, though its directory may not exist yet, or any more.

    Raises: as `make_run_root`; OSError.
    """
    root = directory.path.parent
    make_run_root(root)
    gate = lock_file(root / _ROOT_LOCK, wait=True)
    assert gate is not None
    try:
        log = os.open(directory.log, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        take_lock(log, shared=True)
    finally:
        os.close(gate)
    try:
        yield
    finally:
        os.close(log)


def _sweep_log(log: Path) -> Swept | None:
    """Remove a log without a directory, unless a process waits for its guest or is about to read it."""
    gate = lock_file(log.parent / _ROOT_LOCK, wait=True)
    assert gate is not None
    try:
        if not _is_abandoned_log(log):
            return None
        log.unlink(missing_ok=True)
    finally:
        os.close(gate)
    return Swept(log, clean=True)


def _is_abandoned_log(log: Path) -> bool:
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        return take_lock(descriptor)
    finally:
        os.close(descriptor)


def _logs(run_root: Path, names: Iterable[str]) -> list[Path]:
    """Logs of guests without a directory."""
    stems = (name.removesuffix(_LOG) for name in names if name.endswith(_LOG) and name != _ROOT_LOCK)
    return [
        run_root / f"{stem}{_LOG}" for stem in stems if is_plain(stem, _NAME_LENGTH) and not (run_root / stem).exists()
    ]


def _orphans(layout: CgroupLayout) -> list[str]:
    """Our cgroups whose launcher is dead, whether or not a run directory refers to them."""
    return [group for group in groups(layout) if not group_is_locked(layout, group)]


def _read_owner(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads((path / _OWNER).read_text()))
    except (OSError, ValueError, TypeError):
        return None  # its maker died before writing the marker: nothing ran in it


def _sweep_dead(path: Path, layout: CgroupLayout, owner: Owner | None) -> Swept:
    clean = True
    if owner is not None and owner.boot == _boot_id():
        clean = sweep_group(layout, owner.group) and kill_marked(owner.token)
    return Swept(path, clean and remove_tree(path))


def sweep_own(directory: RunDirectory, layout: CgroupLayout, owner: Owner) -> Swept:
    """Sweep what this process owns and still holds, even if its directory was removed; the log stays."""
    return _sweep_dead(directory.path, layout, owner)


def _lock_of_dead(path: Path) -> int | None:
    """The lock of a directory whose owner is dead; None while it lives.

    A guest shares the lock with its launcher and dies a moment after it; waits for that.
    """
    for _ in range(_DYING_ROUNDS):
        gate = lock_file(path.parent / _ROOT_LOCK, wait=True)
        assert gate is not None
        try:
            held = lock_file(path / _LOCK, wait=False)
        finally:
            os.close(gate)
        if held is not None:
            return held
        owner = _read_owner(path)
        if owner is None or _start_time(owner.pid) == owner.start:
            return None
        select.select((), (), (), _DYING_PAUSE)
    return None


def sweep_directory(path: Path, layout: CgroupLayout | None = None) -> Swept | None:
    """Sweep one sandbox's directory, and its log, if its owner is dead; None if it lives, or nothing exists."""
    log = RunDirectory(path).log
    if not path.is_dir():
        log.unlink(missing_ok=True)
        return None
    try:
        held = _lock_of_dead(path)
    except FileNotFoundError:
        return None  # swept meanwhile
    if held is None:
        return None
    try:
        owner = _read_owner(path)
        if owner is not None and owner.boot == _boot_id() and _start_time(owner.pid) == owner.start:
            return None  # the lock file of a living launcher was removed
        swept = _sweep_dead(path, layout or read_layout(), owner)
    finally:
        os.close(held)
    if swept.clean:
        log.unlink(missing_ok=True)
    return swept


def abandoned(run_root: Path, layout: CgroupLayout | None = None) -> list[str]:
    """What a sweep would remove: names below `run_root`, sorted, and cgroups; changes nothing."""
    try:
        names = sorted(os.listdir(run_root))
    except OSError:
        names = []
    found = [log.name for log in _logs(run_root, names) if _is_abandoned_log(log)]
    for name in names:
        path = run_root / name
        if not is_plain(name, _NAME_LENGTH) or not path.is_dir():
            continue
        try:
            held = lock_file(path / _LOCK, wait=False) if (path / _LOCK).exists() else None
        except OSError:
            continue
        owner = _read_owner(path)
        dead = owner is None or owner.boot != _boot_id() or _start_time(owner.pid) != owner.start
        if held is not None:
            os.close(held)
            if dead:
                found.append(name)
    taken = {sandbox_group(name) for name in found}
    return sorted(found) + [group for group in _orphans(layout or read_layout()) if group not in taken]


def sweep(run_root: Path, layout: CgroupLayout | None = None) -> list[Swept]:
    """Sweep everything that dead owners left: directories and logs below `run_root`, and cgroups without a directory.

    Returns what was swept, by name. Living owners are not affected.
    """
    try:
        names = sorted(os.listdir(run_root))
    except FileNotFoundError:
        names = []
    layout = layout or read_layout()
    directories = [run_root / name for name in names if is_plain(name, _NAME_LENGTH) and (run_root / name).is_dir()]
    found = [sweep_directory(directory, layout) for directory in directories]
    found += [_sweep_log(log) for log in _logs(run_root, names)]
    # nothing is killed by name alone: frozen members with a pending SIGKILL die when thawed, and survivors are reported
    found += [Swept(Path(group), clean=sweep_orphan(layout, group)) for group in _orphans(layout)]
    return [swept for swept in found if swept is not None]
