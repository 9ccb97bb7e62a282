"""The image store: names that stand for unpacked roots, and the built-in minimal one.

For the host side, which gives the guest directories. The built-in `busybox` root is made from this machine's
static busybox, once per version of that binary. Not for registries, and not for the writable layer of a
container: the guest's engine lays that over these directories, which are never written to again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from actors.errors import InvalidArgument, NotFound, PermissionDenied

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["BUSYBOX", "ImageStore", "default_image_root", "find_static_busybox"]

BUSYBOX = "busybox"
# bumped when the built root's content changes, so that old ones are not taken for it
_RECIPE = 1
_CANDIDATES = ("/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static", "/usr/bin/busybox-static")
_DIRECTORIES = (
    "bin",
    "dev",
    "dev/pts",
    "dev/shm",
    "dev/mqueue",
    "etc",
    "home",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "usr",
    "usr/bin",
    "usr/sbin",
    "var",
)
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
_GROUP = "root:x:0:\nnogroup:x:65534:\n"
_INSTALL = "install Debian's busybox-static (apt-get install busybox-static)"


def default_image_root(environment: Mapping[str, str], uid: int) -> Path:
    """`/var/lib/katrio/images` for root; else below `$XDG_CACHE_HOME` or `~/.cache`."""
    if uid == 0:
        return Path("/var/lib/katrio/images")
    cache = environment.get("XDG_CACHE_HOME") or os.path.join(environment.get("HOME", f"/tmp/katrio-{uid}"), ".cache")
    return Path(cache) / "katrio" / "images"


def _is_static_elf(path: Path) -> bool:
    """Whether an ELF file names no program interpreter, that is, needs no shared libraries."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head[:4] != b"\x7fELF" or head[4] not in (1, 2):
        return False
    order: Literal["little", "big"] = "little" if head[5] == 1 else "big"
    wide = head[4] == 2
    offset = int.from_bytes(head[32:40] if wide else head[28:32], order)
    size_at, count_at = (54, 56) if wide else (42, 44)
    size = int.from_bytes(head[size_at : size_at + 2], order)
    count = int.from_bytes(head[count_at : count_at + 2], order)
    types = [int.from_bytes(head[offset + size * n : offset + size * n + 4], order) for n in range(count)]
    return 3 not in types  # PT_INTERP


def find_static_busybox(candidates: Sequence[str] = _CANDIDATES) -> Path | None:
    """The first static busybox of this machine; None when there is none."""
    for candidate in candidates:
        path = Path(candidate)
        if path.is_file() and os.access(path, os.X_OK) and _is_static_elf(path):
            return path
    return None


def _applets(busybox: Path) -> list[str]:
    """The names that this busybox answers to."""
    read_end, write_end = os.pipe()
    pid = os.posix_spawn(
        busybox,
        [str(busybox), "--list"],
        {},
        file_actions=[(os.POSIX_SPAWN_DUP2, write_end, 1), (os.POSIX_SPAWN_CLOSE, read_end)],
    )
    os.close(write_end)
    with os.fdopen(read_end, encoding="ascii") as file:
        names = file.read().split()
    _, status = os.waitpid(pid, 0)
    if status != 0 or "sh" not in names:
        raise NotFound(f"{busybox} --list did not list a shell; {_INSTALL}")
    return names


class ImageStore:
    """Names to directories, below one cache directory of ours."""

    def __init__(self, root: Path, busybox: Path | None) -> None:
        """`busybox` is the static binary to build the built-in root from; None when this machine has none."""
        self._root = root
        self._busybox = busybox

    def resolve(self, image: str) -> Path:
        """The unpacked root of `image`: a known name, or an absolute path. Builds `busybox` when it must; may take 0.1 s.

        Raises:
            NotFound: no such image or directory; says what to install or name.
            InvalidArgument: neither a known name nor an absolute path of a directory.
            PermissionDenied: the cache can't be written, or is not ours alone to write.
        """
        if image == BUSYBOX:
            return self._built_in()
        path = Path(image)
        if not path.is_absolute() or "\0" in image or ".." in path.parts:
            raise InvalidArgument(
                f"image {image!r}: need {BUSYBOX!r} or the absolute path of an unpacked root", field="image"
            )
        if not path.is_dir():
            raise NotFound(f"image {image!r}: no such directory", field="image")
        return path.resolve()

    def _built_in(self) -> Path:
        if self._busybox is None:
            raise NotFound(f"image {BUSYBOX!r}: no static busybox on this machine; {_INSTALL}", field="image")
        digest = hashlib.sha256(self._busybox.read_bytes()).hexdigest()
        target = self._root / f"{BUSYBOX}-{_RECIPE}-{digest[:16]}"
        if target.is_dir():
            return target
        try:
            self._root.mkdir(mode=0o755, parents=True, exist_ok=True)
            found = self._root.stat()
            if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
                raise PermissionDenied(f"image store {self._root}: others may write it; name another one")
            scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=self._root))
        except OSError as error:
            raise PermissionDenied(f"image store {self._root}: {error.strerror}; name another one") from error
        try:
            _fill(scratch, self._busybox)
            scratch.chmod(0o755)
            try:
                scratch.rename(target)
            except OSError:
                # somebody else finished first: theirs is the same content
                if not target.is_dir():
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return target


def _fill(root: Path, busybox: Path) -> None:
    for name in _DIRECTORIES:
        (root / name).mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "dev/shm").chmod(0o1777)
    (root / "root").chmod(0o700)
    shutil.copyfile(busybox, root / "bin/busybox")
    (root / "bin/busybox").chmod(0o755)
    for applet in _applets(busybox):
        if applet != BUSYBOX:
            (root / "bin" / applet).symlink_to(BUSYBOX)
    (root / "etc/passwd").write_text(_PASSWD)
    (root / "etc/group").write_text(_GROUP)
