"""A container's root: a writable layer over a given directory, and safe look-ups inside of it.

For the OCI engine. Look-ups resolve links as the container would (`openat2` with RESOLVE_IN_ROOT), so that a
container's own files can't lead the guest out of it. Not for images: the given directory is never written to,
except through a copy where the kernel refuses overlays.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING

from actors.errors import InvalidArgument, ResourceExhausted
from actors.guest.syscalls import MNT_DETACH, MS_BIND, mount, umount
from actors.host.exhaustion import raise_if_exhausted
from actors.host.inroot import open_in_root

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["Root", "copy_tree", "lay_rootfs", "remove_rootfs", "remove_tree"]

_TEXT_BYTES = 1024 * 1024


def lay_rootfs(lower: str, bundle: Path) -> None:
    """Make `bundle/rootfs` a writable view of `lower`. `bundle` is relative to the working directory: overlay
    options can't escape every byte of a path, and ours are plain.

    Raises:
        InvalidArgument: `lower` is no absolute path of a directory.
        ResourceExhausted: no room for a copy.
    """
    if not os.path.isabs(lower) or not os.path.isdir(lower):
        raise InvalidArgument(
            f"rootfs {lower!r}: need the absolute path of a directory in the guest's sight", field="root"
        )
    for name in ("lower", "upper", "work", "rootfs"):
        (bundle / name).mkdir()
    mount(lower, str(bundle / "lower"), flags=MS_BIND)
    options = f"lowerdir={bundle}/lower,upperdir={bundle}/upper,workdir={bundle}/work"
    # the root that a container sees is the upper one's
    _as_it_was(str(bundle / "lower"), str(bundle / "upper"))
    try:
        mount("overlay", str(bundle / "rootfs"), "overlay", data=options)
    except OSError:
        try:
            copy_tree(bundle / "lower", bundle / "rootfs")
        except (shutil.Error, OSError, RecursionError) as error:
            raise ResourceExhausted(f"rootfs {lower!r}: neither an overlay nor a copy can be made: {error}") from error


def copy_tree(lower: Path, copy: Path) -> None:
    """A directory and all below it, with modes and owners; `copy` may be there. Raises: OSError, shutil.Error."""
    shutil.copytree(lower, copy, symlinks=True, dirs_exist_ok=True)
    for folder, folders, files in os.walk(lower):
        below = os.path.join(copy, os.path.relpath(folder, lower))
        # links to directories are listed among these, and not gone into
        for name in (*folders, *files):
            _as_it_was(os.path.join(folder, name), os.path.join(below, name))
    _as_it_was(str(lower), str(copy))


def _as_it_was(original: str, copy: str) -> None:
    """Owner and mode; the owner first, as a change of it clears the set-user-id bit."""
    found = os.lstat(original)
    os.chown(copy, found.st_uid, found.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        os.chmod(copy, stat.S_IMODE(found.st_mode))


def remove_rootfs(bundle: Path) -> None:
    """Undo `lay_rootfs`, however far it came, and remove the bundle; repeated is fine."""
    for name in ("rootfs", "lower"):
        umount(str(bundle / name), MNT_DETACH)
    with suppress(FileNotFoundError):
        remove_tree(bundle)


def remove_tree(top: Path) -> None:
    """A directory and all below it, as far as that can be removed: a mount that would not go is left with what is in it.

    A container nests directories deeper than a recursion goes, and than a path can name: each is taken up into `top`,
    under a name of ours, before it is emptied. Raises: FileNotFoundError.
    """
    names, folders = count(), [top]
    while folders:
        folder = folders.pop()
        with os.scandir(folder) as listing:
            entries = list(listing)
        for entry in entries:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    taken = top / f".{next(names)}"
                    os.rename(entry.path, taken)
                    folders.append(taken)
                else:
                    os.unlink(entry.path)
        if folder != top:
            with suppress(OSError):
                folder.rmdir()
    with suppress(OSError):
        top.rmdir()


class Root:
    """Look-ups below one directory, which may be `/proc/PID/root` of a running container."""

    def __init__(self, path: str) -> None:
        self._path = path

    @contextmanager
    def opened(self, path: str, flags: int) -> Generator[int]:
        """A descriptor of what is at `path`, closed at the block's end. Raises: OSError."""
        root = os.open(self._path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor = open_in_root(root, path, flags | os.O_CLOEXEC)
        finally:
            os.close(root)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def text(self, path: str, most_bytes: int = _TEXT_BYTES) -> str:
        """A regular file's text, the beginning of it; empty when there is none."""
        try:
            with self.opened(path, os.O_RDONLY | os.O_NONBLOCK) as descriptor:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    return ""
                return os.read(descriptor, most_bytes).decode("utf-8", "replace")
        except OSError as error:
            raise_if_exhausted(error)
            return ""

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory. Raises: OSError when the guest has no descriptor left to look with."""
        try:
            with self.opened(path, os.O_PATH | os.O_DIRECTORY):
                return True
        except OSError as error:
            raise_if_exhausted(error)
            return False

    def find_program(self, program: str, environment: list[str], cwd: str) -> str | None:
        """The executable file that an exec of `program` would find, by its path or along PATH; None when there is none."""
        if "/" in program:
            candidates = [os.path.join(cwd, program)]
        else:
            path = next((entry[5:] for entry in environment if entry.startswith("PATH=")), "")
            candidates = [os.path.join(cwd, folder or ".", program) for folder in path.split(":")]
        return next((candidate for candidate in candidates if self.is_executable(candidate)), None)

    def is_executable(self, path: str) -> bool:
        """Whether there is a regular file that somebody may execute. Raises: OSError when no descriptor is left."""
        try:
            with self.opened(path, os.O_PATH) as descriptor:
                mode = os.fstat(descriptor).st_mode
        except OSError as error:
            raise_if_exhausted(error)
            return False
        return stat.S_ISREG(mode) and bool(mode & 0o111)
