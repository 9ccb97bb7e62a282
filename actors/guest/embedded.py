"""The embedded guest's platform: this machine's own kernel, with at most namespaces of its own.

It changes what belongs to the sandbox (hostname, network, shared directory) and refuses what would affect the whole
machine (clock, CPUs). Random bytes are mixed into the pool without crediting entropy: a caller must not make
the machine trust randomness that the caller knows. The working directory is the guest's own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from actors.errors import AgentError, InvalidArgument, KatrioError, NotFound, PermissionDenied, ResourceExhausted
from actors.guest.measures import guest_measures
from actors.guest.network import SandboxNetwork
from actors.guest.packetfilter import read_filter, replace_filter
from actors.guest.platform import BarePlatform, VolumeUse
from actors.guest.renewal import renew_namespaces
from actors.guest.shared import FileKind
from actors.guest.sysctls import change_sysctls

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from actors.guest.metrics import Family
    from actors.guest.shared import SharedFile
    from actors.schemas import network

__all__ = ["EmbeddedPlatform"]

_SHARED = Path("shared")
_BLOCK_SIZE = Path("/sys/devices/system/memory/block_size_bytes")
_RNDRESEEDCRNG = 0x5207
_STEP_BYTES = 1024 * 1024
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class EmbeddedPlatform(BarePlatform):
    """See `Platform`. `namespaces`: whether the guest has its own UTS and network namespaces."""

    def __init__(self, *, namespaces: bool) -> None:
        super().__init__()
        self._namespaces = namespaces
        self._copies = 0
        self._network = SandboxNetwork() if namespaces else None

    @property
    def memory_block_bytes(self) -> int:
        try:
            return int(_BLOCK_SIZE.read_text(), 16)
        except (OSError, ValueError):
            return 0

    def set_hostname(self, name: str) -> None:
        if self._namespaces:
            socket.sethostname(name)

    async def set_sysctls(self, wanted: Mapping[str, str]) -> Mapping[str, str]:
        await trio.lowlevel.checkpoint()
        return change_sysctls(wanted) if self._namespaces else await super().set_sysctls(wanted)

    async def reseed(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        pool = os.open("/dev/urandom", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(pool, data)
            # immediate where permitted; otherwise the kernel mixes it in within minutes
            with contextlib.suppress(PermissionError):
                fcntl.ioctl(pool, _RNDRESEEDCRNG)
        finally:
            os.close(pool)

    async def interfaces(self) -> tuple[network.Interface, ...]:
        return await (super().interfaces() if self._network is None else self._network.interfaces())

    async def update_interface(self, interface: network.Interface) -> network.Interface:
        return await (
            super().update_interface(interface) if self._network is None else self._network.update_interface(interface)
        )

    async def routes(self) -> tuple[network.Route, ...]:
        return await (super().routes() if self._network is None else self._network.routes())

    async def update_routes(self, routes: tuple[network.Route, ...]) -> tuple[network.Route, ...]:
        return await (super().update_routes(routes) if self._network is None else self._network.update_routes(routes))

    async def add_neighbors(self, neighbors: tuple[network.ARPNeighbor, ...]) -> None:
        await (super().add_neighbors(neighbors) if self._network is None else self._network.add_neighbors(neighbors))

    async def packet_filter(self, *, ipv6: bool) -> bytes:
        return await (super().packet_filter(ipv6=ipv6) if self._network is None else read_filter(ipv6=ipv6))

    async def set_packet_filter(self, data: bytes, *, ipv6: bool) -> bytes:
        if self._network is None:
            return await super().set_packet_filter(data, ipv6=ipv6)
        return await replace_filter(data, ipv6=ipv6)

    async def clear(self) -> None:
        try:
            shutil.rmtree(_SHARED)
        except FileNotFoundError:
            pass  # nothing was copied
        except OSError as error:
            raise AgentError(f"the sandbox's shared files are left: {error}", status="not cleared") from error
        await (super().clear() if self._network is None else renew_namespaces())

    async def measures(self) -> list[Family]:
        await trio.lowlevel.checkpoint()
        return guest_measures(devices=self._network is not None)

    async def volume(self, path: str) -> VolumeUse:
        await trio.lowlevel.checkpoint()
        *directories, name = path.split("/")
        try:
            with _directory(directories, make=None) as directory:
                descriptor = os.open(name or ".", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
                try:
                    if stat.S_ISLNK(os.fstat(descriptor).st_mode):
                        raise PermissionDenied(f"volume {path[:80]!r}: it is a link")
                    found = os.fstatvfs(descriptor)
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise _missing(f"volume {path[:80]!r}", error) from None
        return VolumeUse(
            total=found.f_blocks * found.f_frsize,
            used=(found.f_blocks - found.f_bfree) * found.f_frsize,
            available=found.f_bavail * found.f_frsize,
            inodes=found.f_files,
            inodes_used=found.f_files - found.f_ffree,
            inodes_available=found.f_favail,
        )

    async def place(self, file: SharedFile) -> None:
        *directories, name = file.path.split("/")
        try:
            with _directory(directories, make=file.directory_mode) as directory:
                self._copies += 1
                await _PLACE[file.kind](directory, name, file, f".unfinished-{self._copies}")
        except (IsADirectoryError, FileExistsError):
            raise InvalidArgument(
                f"copy of {file.path[:80]!r}: what is there is a directory, or is none", field="path"
            ) from None
        except NotADirectoryError:
            raise PermissionDenied(f"copy of {file.path[:80]!r}: a link or a file stands in its way") from None
        except OSError as error:
            raise ResourceExhausted(f"copy of {file.path[:80]!r}: {error}") from error

    def locate(self, path: str) -> str:
        *directories, name = path.split("/")
        try:
            with _directory(directories, make=None) as directory:
                kind = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
        except OSError as error:
            raise _missing(f"mount of {path[:80]!r}", error) from None
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise PermissionDenied(f"mount of {path[:80]!r}: neither a file nor a directory")
        return str((_SHARED / path).absolute())


def _missing(what: str, error: OSError) -> KatrioError:
    """Why a path below the shared directory could not be examined."""
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return NotFound(f"{what}: nothing is there: {error.strerror}")
        case PermissionError():
            return PermissionDenied(f"{what}: the guest may not look there: {error.strerror}")
        case _:
            return ResourceExhausted(f"{what}: {error.strerror}")


@contextlib.contextmanager
def _directory(parts: list[str], *, make: int | None) -> Generator[int]:
    """A descriptor of a directory below the shared one, reached without following symlinks."""
    if make is not None:
        _SHARED.mkdir(mode=0o755, exist_ok=True)
    found = os.open(_SHARED, _DIRECTORY)
    try:
        for part in parts:
            if make is not None:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, make, dir_fd=found)
            # O_NOFOLLOW with O_DIRECTORY fails with ENOTDIR on a symlink
            below = os.open(part, _DIRECTORY, dir_fd=found)
            os.close(found)
            found = below
        yield found
    finally:
        os.close(found)


async def _write(directory: int, name: str, file: SharedFile, unfinished: str) -> None:
    """Write under a temporary name first, so that nobody sees a partial file."""
    # O_EXCL: a container with write access here could have placed a symlink
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(unfinished, flags, 0o600, dir_fd=directory)
    try:
        left = memoryview(file.data)
        while left:
            left = left[os.write(descriptor, left[:_STEP_BYTES]) :]
            await trio.lowlevel.checkpoint()
        _give(descriptor, file)
        os.rename(unfinished, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(unfinished, dir_fd=directory)
        raise
    finally:
        os.close(descriptor)


async def _make_directory(directory: int, name: str, file: SharedFile, _: str) -> None:
    await trio.lowlevel.checkpoint()
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=directory)
    try:
        # an existing directory keeps its content, and gets the requested owner and mode
        descriptor = os.open(name, _DIRECTORY, dir_fd=directory)
    except NotADirectoryError:
        raise FileExistsError(name) from None
    try:
        _give(descriptor, file)
    finally:
        os.close(descriptor)


async def _link(directory: int, name: str, file: SharedFile, unfinished: str) -> None:
    """A symlink is never followed here; in a container it resolves within that container's root."""
    await trio.lowlevel.checkpoint()
    os.symlink(file.data, os.fsencode(unfinished), dir_fd=directory)
    try:
        with contextlib.suppress(PermissionError):
            os.chown(unfinished, file.uid, file.gid, dir_fd=directory, follow_symlinks=False)
        os.rename(unfinished, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(unfinished, dir_fd=directory)
        raise


def _give(descriptor: int, file: SharedFile) -> None:
    with contextlib.suppress(PermissionError):
        # a rootless guest has a single user
        os.fchown(descriptor, file.uid, file.gid)
    os.fchmod(descriptor, file.mode)


_PLACE = {FileKind.FILE: _write, FileKind.DIRECTORY: _make_directory, FileKind.LINK: _link}
