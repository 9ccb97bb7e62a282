"""A container's rootfs: a writable layer over a given directory, and safe path resolution within it.

For the OCI engine. Paths are resolved as the container would (`openat2` with RESOLVE_IN_ROOT), so that a
container's symlinks can't lead the guest out of it. The given directory is never written to; where the kernel refuses
an overlay, it is copied.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from actors.errors import AgentError, InvalidArgument
from actors.guest.engines.oci_config import is_bind
from actors.guest.syscalls import MNT_DETACH, MS_BIND, mount, umount
from actors.node.copies import check_root, copy_root
from actors.node.exhaustion import raise_if_exhausted
from actors.node.inroot import open_in_root
from actors.node.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from actors.guest.engines.oci_config import Document
    from actors.limits import Limits
    from actors.seams import Threads

__all__ = ["TEXT_BYTES", "Layers", "Root"]

# limited by disk and memory bandwidth
_COPIES_AT_ONCE = 2

# size limit of a file that is read whole, e.g. passwd
TEXT_BYTES = 1024 * 1024


class Layers:
    """The rootfs of each container, made and removed in threads: both take time proportional to the tree."""

    def __init__(self, limits: Limits, threads: Threads) -> None:
        self._limits = limits
        self._threads = threads
        # by container: the running `lay`
        self._laying: dict[str, trio.CancelScope] = {}
        # else copies could occupy all threads, which starting a runtime needs
        self._copying = trio.CapacityLimiter(_COPIES_AT_ONCE)

    async def lay(self, container: str, lower: str, bundle: Path) -> None:
        """Make `bundle/rootfs` a writable view of `lower`: an overlay, or a copy where the kernel refuses that.

        `bundle` is relative to the working directory: overlay options can't escape every byte of a path, but ours are
        plain.

        Raises:
            InvalidArgument: `lower` is not an absolute path of a directory, or can't be a root (`/proc`).
            NotFound, PermissionDenied: it can't be copied.
            ResourceExhausted: too large to copy, or no space for the copy.
            AgentError: `give_up` was called.
        """
        with trio.CancelScope() as scope:
            self._laying[container] = scope
            try:
                if not await self._threads.run(partial(_lay_overlay, lower, bundle)):
                    async with self._copying:
                        await self._threads.run(partial(self._copy, lower, bundle))
            finally:
                del self._laying[container]
        if scope.cancelled_caught:
            raise AgentError(f"create of container {container!r}: it was ended meanwhile", status="killed")

    def give_up(self, container: str) -> None:
        """Abort a running `lay` for the container, if any."""
        if container in self._laying:
            self._laying[container].cancel()

    async def remove(self, bundle: Path) -> None:
        """Undo a complete or partial `lay`, and remove the bundle; idempotent."""
        await self._threads.run(partial(_remove, bundle))

    def _copy(self, lower: str, bundle: Path) -> None:
        (bundle / "rootfs").rmdir()
        copy_root(
            bundle / "lower",
            bundle / "rootfs",
            most_bytes=self._limits.guest_copy_bytes,
            most_entries=self._limits.image_entries,
            checkpoint=self._threads.checkpoint,
            field="root",
            name=f"{lower!r}, over which the kernel lays no overlay",
        )


def _lay_overlay(lower: str, bundle: Path) -> bool:
    """Whether the kernel supports it. Raises: InvalidArgument, OSError."""
    if not os.path.isabs(lower) or not os.path.isdir(lower):
        raise InvalidArgument(
            f"rootfs {lower!r}: need the absolute path of a directory in the guest's sight", field="root"
        )
    check_root(Path(lower), field="root")
    for name in ("lower", "upper", "work", "rootfs"):
        (bundle / name).mkdir()
    mount(lower, str(bundle / "lower"), flags=MS_BIND)
    options = f"lowerdir={bundle}/lower,upperdir={bundle}/upper,workdir={bundle}/work"
    # the container sees owner and mode of the upper directory as those of its root
    found = os.lstat(bundle / "lower")
    os.chown(bundle / "upper", found.st_uid, found.st_gid)
    (bundle / "upper").chmod(stat.S_IMODE(found.st_mode))
    try:
        mount("overlay", str(bundle / "rootfs"), "overlay", data=options)
    except OSError:
        return False
    return True


def _remove(bundle: Path) -> None:
    for name in ("rootfs", "lower"):
        umount(str(bundle / name), MNT_DETACH)
    remove_tree(bundle)


class Root:
    """Path resolution below one directory, which may be `/proc/PID/root` of a running container."""

    def __init__(self, path: str) -> None:
        self._path = path

    @contextmanager
    def opened(self, path: str, flags: int) -> Generator[int]:
        """A descriptor for `path`, closed at the block's end. Raises: OSError."""
        root = os.open(self._path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor = open_in_root(root, path, flags | os.O_CLOEXEC)
        finally:
            os.close(root)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def text(self, path: str, most_bytes: int = TEXT_BYTES) -> str:
        """The first bytes of a regular file; empty if missing."""
        try:
            with self.opened(path, os.O_RDONLY | os.O_NONBLOCK) as descriptor:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    return ""
                return os.read(descriptor, most_bytes).decode("utf-8", "replace")
        except OSError as error:
            raise_if_exhausted(error)
            return ""

    def text_in_mounts(self, path: str, mounts: Sequence[Document], most_bytes: int) -> str:
        """The same for a container whose mounts may be gone: files of bind mounts are read from their source, as Kata's agents do.

        Also empty for files on mounts of other kinds. A container's symlinks can't lead out of a bind mount.
        """
        wanted = os.path.normpath(f"/{path.lstrip('/')}")
        for each in reversed(mounts):
            place = os.path.normpath(each["destination"])
            if wanted != place and not wanted.startswith(f"{place}/"):
                continue
            if not is_bind(each):
                return ""
            below = wanted[len(place) :]
            folder, name = (each["source"], below) if below else os.path.split(os.path.normpath(each["source"]))
            return Root(folder).text(name, most_bytes)
        return self.text(wanted, most_bytes)

    def is_directory(self, path: str) -> bool:
        """Whether `path` is a directory. Raises: OSError when no file descriptor is left."""
        try:
            with self.opened(path, os.O_PATH | os.O_DIRECTORY):
                return True
        except OSError as error:
            raise_if_exhausted(error)
            return False

    def find_program(self, program: str, environment: list[str], cwd: str) -> str | None:
        """The executable that an exec of `program` would find, by its path or along PATH; None if there is none."""
        if "/" in program:
            candidates = [os.path.join(cwd, program)]
        else:
            path = next((entry[5:] for entry in environment if entry.startswith("PATH=")), "")
            candidates = [os.path.join(cwd, folder or ".", program) for folder in path.split(":")]
        return next((candidate for candidate in candidates if self.is_executable(candidate)), None)

    def is_executable(self, path: str) -> bool:
        """Whether `path` is a regular file with any execute bit. Raises: OSError when no file descriptor is left."""
        try:
            with self.opened(path, os.O_PATH) as descriptor:
                mode = os.fstat(descriptor).st_mode
        except OSError as error:
            raise_if_exhausted(error)
            return False
        return stat.S_ISREG(mode) and bool(mode & 0o111)
