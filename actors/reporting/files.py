"""Reports as files: looked at before the work without touching what is there, written after it, whole or not at all.

Not for reports that grow as the work goes on, nor for what a report says.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from actors.node.named_files import open_for_writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["ReportFiles", "check_writable", "write_whole"]


def check_writable(path: Path) -> None:
    """Whether a report could be written there; nothing is made, opened or emptied. Raises: OSError."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        place = path.resolve().parent
        place.stat()
        _need(place, os.W_OK | os.X_OK)
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    _need(path, os.W_OK)


def _need(path: Path, access: int) -> None:
    if not os.access(path, access):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def write_whole(path: Path, text: str) -> None:
    """A regular file is replaced at once, or stays as it was; a device or a pipe is written to. Raises: OSError."""
    mode = path.stat().st_mode if path.exists() else None
    if mode is None or stat.S_ISREG(mode):
        # behind a link lies the file that is meant; what a shell's `>(...)` names is a pipe that has no other name
        path = path.resolve()
    if (mode is not None and not stat.S_ISREG(mode)) or not os.access(path.parent, os.W_OK | os.X_OK):
        with open(path, "w", encoding="utf-8", opener=open_for_writing) as file:
            file.write(text)
        return
    beside = path.with_name(f".{path.name[:200]}.{os.getpid()}")
    try:
        with beside.open("x", encoding="utf-8") as file:
            file.write(text)
        if mode is not None:
            beside.chmod(stat.S_IMODE(mode))
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


class ReportFiles:
    """Those of one piece of work: looked at when they are added, written when it is over.

    Attributes:
        lost: which could not be written, and why; none keeps another back.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Path, Callable[[], str]]] = []
        self.lost: list[tuple[Path, OSError]] = []

    def add(self, path: Path | None, text: Callable[[], str]) -> None:
        """`text` is asked when the file is written; without a path there is none. Raises: OSError, when it can't be."""
        if path is not None:
            check_writable(path)
            self._waiting.append((path, text))

    def write(self) -> None:
        """Write all. Idempotent."""
        while self._waiting:
            path, text = self._waiting.pop(0)
            try:
                write_whole(path, text())
            except OSError as error:
                self.lost.append((path, error))
