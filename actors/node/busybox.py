"""The built-in minimal root: this machine's static busybox, a link for each of its applets, and passwd and group.

The image store keeps it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from actors.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["INSTALL", "end_of_child", "fill_root", "find_static_busybox"]

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
_MODES = {"tmp": 0o1777, "dev/shm": 0o1777, "root": 0o700}
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
_GROUP = "root:x:0:\nnogroup:x:65534:\n"
INSTALL = "install Debian's busybox-static (apt-get install busybox-static)"


def _is_static_elf(path: Path) -> bool:
    """Whether an ELF file has no program interpreter, i.e. needs no shared libraries."""
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
    """The first static busybox on this machine; None if there is none."""
    for candidate in candidates:
        path = Path(candidate)
        if path.is_file() and os.access(path, os.X_OK) and _is_static_elf(path):
            return path
    return None


def end_of_child(pid: int) -> int:
    """The wait status of a child that has closed its output; 0 if SIGCHLD is ignored, as the status is lost then."""
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return 0


def _applets(busybox: Path) -> list[str]:
    """The applets of this busybox."""
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
    if end_of_child(pid) != 0 or "sh" not in names:
        raise NotFound(f"{busybox} --list did not list a shell; {INSTALL}")
    return names


def fill_root(root: Path, busybox: Path) -> None:
    """Make the root in an empty directory, with modes independent of the umask. Raises: NotFound (no proper busybox), OSError."""
    root.chmod(0o755)
    for name in _DIRECTORIES:
        (root / name).mkdir()
        (root / name).chmod(_MODES.get(name, 0o755))
    shutil.copyfile(busybox, root / "bin/busybox")
    (root / "bin/busybox").chmod(0o755)
    for applet in _applets(busybox):
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    for name, text in (("passwd", _PASSWD), ("group", _GROUP)):
        (root / "etc" / name).write_text(text)
        (root / "etc" / name).chmod(0o644)
