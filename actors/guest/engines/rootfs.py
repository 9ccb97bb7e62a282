"""A container's root: a writable layer over a given directory, and safe look-ups inside of it.

For the OCI engine. Look-ups resolve links as the container would (`openat2` with RESOLVE_IN_ROOT), so that a
container's own files can't lead the guest out of it. Not for images: the given directory is never written to,
except through a copy where the kernel refuses overlays.
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

# each is as fast as its disk and the memory
_COPIES_AT_ONCE = 2

# of a file that is read whole, as passwd
TEXT_BYTES = 1024 * 1024


class Layers:
    """The roots of an engine's containers, laid and removed in threads: both may take as long as a tree is large."""

    def __init__(self, limits: Limits, threads: Threads) -> None:
        self._limits = limits
        self._threads = threads
        # by container: what is being laid
        self._laying: dict[str, trio.CancelScope] = {}
        # or copies could have all threads, which runtimes are started by
        self._copying = trio.CapacityLimiter(_COPIES_AT_ONCE)

    async def lay(self, container: str, lower: str, bundle: Path) -> None:
        """Make `bundle/rootfs` a writable view of `lower`: a layer over it, or a copy where the kernel refuses that.

        `bundle` is relative to the working directory: overlay options can't escape every byte of a path, and ours are plain.

        Raises:
            InvalidArgument: `lower` is no absolute path of a directory, or no root (`/proc`).
            NotFound, PermissionDenied: it can't be copied.
            ResourceExhausted: it is too large for a copy, or there is no room for one.
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
        """End what is being laid for it, if anything is."""
        if container in self._laying:
            self._laying[container].cancel()

    async def remove(self, bundle: Path) -> None:
        """Undo `lay`, however far it came, and remove the bundle; idempotent."""
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
    """Whether the kernel does it. Raises: InvalidArgument, OSError."""
    if not os.path.isabs(lower) or not os.path.isdir(lower):
        raise InvalidArgument(
            f"rootfs {lower!r}: need the absolute path of a directory in the guest's sight", field="root"
        )
    check_root(Path(lower), field="root")
    for name in ("lower", "upper", "work", "rootfs"):
        (bundle / name).mkdir()
    mount(lower, str(bundle / "lower"), flags=MS_BIND)
    options = f"lowerdir={bundle}/lower,upperdir={bundle}/upper,workdir={bundle}/work"
    # the root that a container sees is the upper one's
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

    def text(self, path: str, most_bytes: int = TEXT_BYTES) -> str:
        """A regular file's text, the beginning of it; empty when there is none."""
        try:
            with self.opened(path, os.O_RDONLY | os.O_NONBLOCK) as descriptor:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    return ""
                return os.read(descriptor, most_bytes).decode("utf-8", "replace")
        except OSError as error:
            raise_if_exhausted(error)
            return ""

    def text_in_mounts(self, path: str, mounts: Sequence[Document], most_bytes: int) -> str:
        """The same of a container whose mounts may be gone: what was bound is read where it came from, as Kata's agents do.

        Empty also for what lies in another mount than a bound one. A container can't lead out of what was bound.
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
