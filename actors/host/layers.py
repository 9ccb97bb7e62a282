"""One layer of an image, a tar, laid over a directory: nothing is written, linked or removed outside of it.

For the image store, which gives a fresh directory that nobody else sees. Names are resolved as in the container's root,
so that no link of an earlier layer leads out. Whiteouts remove what lower layers brought. Devices and pipes are refused,
extended attributes dropped. Not for manifests and digests (`archives`), nor for trust: every byte is taken as hostile.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import tarfile
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from actors.errors import InvalidArgument, ResourceExhausted

if TYPE_CHECKING:
    from pathlib import Path

    from actors.limits import Limits

__all__ = ["LayerBudget", "Readable", "apply_layer"]

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_COPY_BYTES = 1024 * 1024
_LINKS, _PATH_BYTES = 40, 4096
_MAX_ID = 2**32 - 2
_LONG_HEADERS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int = -1, /) -> bytes: ...


class LayerBudget:
    """What one image may still unpack, over all of its layers."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._bytes = limits.image_bytes
        self._entries = limits.image_entries

    def entry(self, size: int) -> None:
        """Raises: ResourceExhausted."""
        self._entries -= 1
        self._bytes -= size
        if self._entries < 0 or self._bytes < 0:
            raise ResourceExhausted(
                f"image: unpacked it has over {self._limits.image_bytes} bytes or {self._limits.image_entries} files",
                limit=self._limits.image_bytes,
                field="image",
            )

    def header(self, info: tarfile.TarInfo) -> None:
        """A header's own claims, before anybody acts on them. Raises: InvalidArgument."""
        if info.size < 0:
            raise _refused(info.name, "a negative size")
        if info.type in _LONG_HEADERS and info.size > self._limits.image_header_bytes:
            raise _refused(info.name, f"a header of {info.size} bytes, over {self._limits.image_header_bytes}")


def _refused(name: str, what: str) -> InvalidArgument:
    return InvalidArgument(f"image: entry {name[:200]!r} of a layer has {what}; it is refused", field="image")


def apply_layer(root: Path, layer: Readable, budget: LayerBudget) -> None:
    """Lay an uncompressed tar over `root`.

    Raises:
        InvalidArgument: a broken tar, or an entry that is refused.
        ResourceExhausted: the budget, or the disk, is used up.
    """

    class Header(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Header:
            found = super().frombuf(buf, encoding, errors)
            budget.header(found)
            return found

    try:
        with tarfile.open(fileobj=_Source(layer), mode="r|", tarinfo=Header) as archive:
            _Layer(root, archive, budget).apply()
    except (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise InvalidArgument(f"image: a layer is no proper tar: {error}", field="image") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceExhausted(f"image: no room to unpack it: {error.strerror}", field="image") from error
        raise InvalidArgument(f"image: a layer can't be unpacked: {error}", field="image") from error


class _Source(io.RawIOBase):
    """What tarfile asks for, which is more than it uses."""

    def __init__(self, layer: Readable) -> None:
        self._layer = layer

    def read(self, size: int = -1, /) -> bytes:
        return self._layer.read(size)


class _Layer:
    def __init__(self, root: Path, archive: tarfile.TarFile, budget: LayerBudget) -> None:
        self._root = root
        self._archive = archive
        self._budget = budget
        # what this very layer brought: its whiteouts are for lower ones
        self._made: set[Path] = set()
        self._directories: dict[Path, tarfile.TarInfo] = {}

    def apply(self) -> None:
        for info in self._archive:
            self._budget.entry(info.size if info.isreg() else 0)
            self._entry(info)
            # tarfile remembers every header for look-ups that we don't make
            vars(self._archive)["members"] = []
        # last, or a directory that nobody may write could not be filled
        for path, info in sorted(self._directories.items(), reverse=True):
            if path.is_dir() and not path.is_symlink():
                _dress(path, info)

    def _entry(self, info: tarfile.TarInfo) -> None:
        parts = _parts(info.name, info.name)
        if not parts:
            if not info.isdir():
                raise _refused(info.name, "no name")
            self._directories[self._root] = info
            return
        parent, name = self._directory(parts[:-1], info.name), parts[-1]
        if name.startswith(_WHITEOUT):
            self._whiteout(parent, name, info.name)
            return
        path = parent / name
        if info.isdir():
            self._clear(path, keep_directory=True)
            path.mkdir(mode=0o700, exist_ok=True)
            self._directories[path] = info
        elif info.isreg():
            self._clear(path)
            self._write(path, info)
        elif info.issym():
            _check_target(info, len(parts) - 1)
            self._clear(path)
            path.symlink_to(info.linkname)
            _own(path, info)
        elif info.islnk():
            self._link(path, info)
        else:
            raise _refused(info.name, "a kind that is no file, directory or link (a device, a pipe)")
        self._made.add(path)

    def _directory(self, parts: list[str], name: str) -> Path:
        """Where these lead as seen by the container; missing ones are made."""
        todo, path, links = list(reversed(parts)), self._root, 0
        while todo:
            part = todo.pop()
            if part == "..":
                path = path if path == self._root else path.parent
                continue
            step = path / part
            try:
                mode = step.lstat().st_mode
            except FileNotFoundError:
                step.mkdir(mode=0o755)
                self._made.add(step)
                mode = stat.S_IFDIR
            if stat.S_ISLNK(mode):
                links += 1
                if links > _LINKS:
                    raise _refused(name, "a path of links that go around in a circle")
                target = os.readlink(step)
                path = self._root if target.startswith("/") else path
                todo.extend(part for part in reversed(target.split("/")) if part not in ("", "."))
            elif stat.S_ISDIR(mode):
                path = step
            else:
                raise _refused(name, f"a path through {part!r}, which is no directory")
        return path

    def _clear(self, path: Path, *, keep_directory: bool = False) -> None:
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(mode):
            path.unlink()
        elif not keep_directory:
            shutil.rmtree(path)

    def _whiteout(self, parent: Path, name: str, entry: str) -> None:
        if name == _OPAQUE:
            for child in list(parent.iterdir()):
                self._remove_lower(child)
            return
        if name.startswith(_WHITEOUT + _WHITEOUT):
            return  # aufs's own notes
        hidden = name.removeprefix(_WHITEOUT)
        if hidden in ("", ".", ".."):
            raise _refused(entry, "a whiteout of no name")
        self._remove_lower(parent / hidden)

    def _remove_lower(self, path: Path) -> None:
        """What is there and was not brought by this layer; of a directory that was, what it has from below."""
        if path not in self._made:
            if path.is_dir() and not path.is_symlink() and any(path in made.parents for made in self._made):
                for child in list(path.iterdir()):
                    self._remove_lower(child)
            else:
                self._clear(path)
        elif path.is_dir() and not path.is_symlink():
            for child in list(path.iterdir()):
                self._remove_lower(child)

    def _write(self, path: Path, info: tarfile.TarInfo) -> None:
        source = self._archive.extractfile(info)
        assert source is not None
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(source, file, _COPY_BYTES)
            if file.tell() != info.size:
                raise tarfile.ReadError(f"{info.name[:200]!r} is cut short")
        _dress(path, info)

    def _link(self, path: Path, info: tarfile.TarInfo) -> None:
        parts = _parts(info.linkname, info.name)
        if not parts:
            raise _refused(info.name, "a hard link to the root")
        target = self._directory(parts[:-1], info.name) / parts[-1]
        try:
            regular = stat.S_ISREG(target.lstat().st_mode)
        except FileNotFoundError:
            regular = False
        if not regular:
            raise _refused(info.name, f"a hard link to {info.linkname[:200]!r}, which is no file of the image")
        if target != path:
            self._clear(path)
            os.link(target, path, follow_symlinks=False)


def _parts(path: str, name: str) -> list[str]:
    """The parts of a member's own name, or of a hard link's; these never climb, and never begin at a root."""
    if path.startswith("/"):
        raise _refused(name, "an absolute path")
    if len(os.fsencode(path)) > _PATH_BYTES or "\0" in path:
        raise _refused(name, "a path that is too long, or has a NUL")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise _refused(name, "a path with '..'")
    return parts


def _check_target(info: tarfile.TarInfo, depth: int) -> None:
    """An absolute target means the container's own root. A relative one must not even try to climb over it."""
    target = info.linkname
    if not target or len(os.fsencode(target)) > _PATH_BYTES or "\0" in target:
        raise _refused(info.name, "a link without a proper target")
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in ("", "."):
            depth += 1
        if depth < 0 and not target.startswith("/"):
            raise _refused(info.name, f"a link out of the root, to {target[:200]!r}")


def _own(path: Path, info: tarfile.TarInfo) -> None:
    if os.geteuid() != 0:
        return
    if not (0 <= info.uid <= _MAX_ID and 0 <= info.gid <= _MAX_ID):
        raise _refused(info.name, f"an owner that is no number of the kernel's ({info.uid}, {info.gid})")
    os.chown(path, info.uid, info.gid, follow_symlinks=False)


def _dress(path: Path, info: tarfile.TarInfo) -> None:
    """Owner first, since a change of it clears the set-user-id bit."""
    _own(path, info)
    path.chmod(info.mode & 0o7777)
    with suppress(OSError, OverflowError):
        os.utime(path, (info.mtime, info.mtime))
