"""Run directories: one per sandbox, owned by a live launcher, swept when that is dead.

For the launcher (which makes and owns one), the host process (which names one, and sweeps a dead guest's) and
the start of every command (which sweeps them all). Ownership is a lock held for life; a directory's name proves
nothing, and nothing is killed but members of the control group that its marker names, or processes that carry
the marker's own token. Not for images: those outlive sandboxes (`images`).
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from actors.errors import AlreadyExists, InvalidArgument, PermissionDenied
from actors.host.cgroups import CgroupLayout, members, read_layout, remove_group, sandbox_group, sweep_group
from actors.host.locks import lock_file
from actors.host.marks import kill_marked, read_process
from actors.host.protocols import Channel

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Owner",
    "RunDirectory",
    "Swept",
    "abandoned",
    "claim",
    "default_run_root",
    "sweep",
    "sweep_directory",
    "sweep_own",
]

# sun_path is 108 bytes with its final NUL
SOCKET_PATH_BYTES = 107
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}\Z")
# 2 s for a guest to follow its dead launcher
_DYING_ROUNDS, _DYING_PAUSE = 200, 0.01
_LOCK, _OWNER, _ROOT_LOCK = "lock", "owner.json", ".lock"


@dataclass(frozen=True, slots=True)
class Owner:
    """The marker in a run directory; `start` is field 22 of `/proc/PID/stat`, in clock ticks since boot."""

    boot: str
    pid: int
    start: int
    group: str
    token: str


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did to one directory; `clean` is False when a process or a group would not go."""

    directory: Path
    clean: bool


def default_run_root(environment: Mapping[str, str], uid: int) -> Path:
    """`/run/katrio` for root; else below `$XDG_RUNTIME_DIR`, or `/tmp/katrio-UID`."""
    if uid == 0:
        return Path("/run/katrio")
    runtime = environment.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "katrio" if runtime else Path(f"/tmp/katrio-{uid}")


class RunDirectory:
    """The paths of one sandbox's directory. Pure: nothing is made.

    Raises:
        InvalidArgument: the path is relative, its last part is no plain name, or a socket's path exceeds 107 bytes.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_absolute() or not _NAME.fullmatch(path.name):
            raise InvalidArgument(
                f"run directory {str(path)!r}: need an absolute path whose last part is a plain name", field="directory"
            )
        self.path = path
        # virtcontainers' names where it has some
        self.sockets = {
            Channel.AGENT: path / "guest.sock",
            Channel.CONTROL: path / "hyper.sock",
            Channel.STREAMS: path / "tty.sock",
        }
        self.log = path.parent / f"{path.name}.log"
        # a tmpfs over it, seen by the guest alone
        self.state = path / "state"
        size = max(len(os.fsencode(socket)) for socket in self.sockets.values())
        if size > SOCKET_PATH_BYTES:
            raise InvalidArgument(
                f"run directory {str(path)!r}: its socket's path has {size} bytes, and the kernel takes {SOCKET_PATH_BYTES}; use a shorter run root",
                field="directory",
            )

    @property
    def group(self) -> str:
        """The control group above the sandbox's containers."""
        return sandbox_group(self.path.name)


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_time(pid: int) -> int | None:
    """When a live process started; None when it is gone, or a zombie."""
    fact = read_process(pid)
    return fact.start if fact is not None and fact.alive else None


def _private_root(root: Path) -> None:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionDenied(
            f"run root {root}: must be a directory of uid {os.geteuid()} with mode 0700; remove it or name another one"
        )


def claim(directory: RunDirectory, layout: CgroupLayout) -> tuple[Owner, int]:
    """Make the directory and own it until the returned descriptor (shared with forks) is closed everywhere.

    Raises:
        AlreadyExists: the directory is there (sweep first), or its control group has members.
        PermissionDenied: the run root is not private to us.
    """
    root = directory.path.parent
    _private_root(root)
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
        (directory.path / _OWNER).write_text(json.dumps(asdict(owner)))
        directory.state.mkdir(mode=0o700)
    finally:
        os.close(gate)
    return owner, descriptor


def _read_owner(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads((path / _OWNER).read_text()))
    except (OSError, ValueError, TypeError):
        return None  # its maker died between making the directory and writing the marker: nothing ran in it


def _sweep_dead(path: Path, layout: CgroupLayout) -> Swept:
    owner, clean = _read_owner(path), True
    if owner is not None and owner.boot == _boot_id():
        clean = sweep_group(layout, owner.group) and kill_marked(owner.token)
    if clean:
        shutil.rmtree(path, ignore_errors=True)
    return Swept(path, clean)


def sweep_own(directory: RunDirectory, layout: CgroupLayout) -> Swept:
    """Sweep the directory that this very process owns and still holds; its log stays."""
    return _sweep_dead(directory.path, layout)


def _lock_of_dead(path: Path) -> int | None:
    """The lock of a directory whose owner is dead; None while it lives.

    A guest shares the lock with its launcher and dies a moment after it; that moment is waited for.
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
    """Sweep one sandbox's directory, and its log, if its owner is dead; None when it lives, or nothing is there."""
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
            return None  # somebody removed the lock of a living launcher
        swept = _sweep_dead(path, layout or read_layout())
    finally:
        os.close(held)
    if swept.clean:
        log.unlink(missing_ok=True)
    return swept


def abandoned(run_root: Path) -> list[str]:
    """The names below `run_root` that a sweep would take, sorted; nothing is changed."""
    try:
        names = sorted(os.listdir(run_root))
    except OSError:
        return []
    found: list[str] = []
    for name in names:
        path = run_root / name
        if not _NAME.fullmatch(name) or not path.is_dir():
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
    return found


def sweep(run_root: Path, layout: CgroupLayout | None = None) -> list[Swept]:
    """Sweep every directory below `run_root` whose owner is dead; what was swept, by name. Live ones are not touched."""
    try:
        names = sorted(os.listdir(run_root))
    except FileNotFoundError:
        return []
    layout = layout or read_layout()
    directories = [run_root / name for name in names if _NAME.fullmatch(name) and (run_root / name).is_dir()]
    found = [sweep_directory(directory, layout) for directory in directories]
    return [swept for swept in found if swept is not None]
