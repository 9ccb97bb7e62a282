"""The command's own output: standard streams and files that never fail in the middle of the work.

What can't be written (a full disk, a closed pipe, a terminal that hung up) is remembered and dropped, so that a scenario
ends in order and its other reports are written; the command says it once, at its end, and its exit code tells. Signs that
a terminal's encoding lacks are escaped. A standard output that was closed before the start is one that takes nothing: whoever
wants none says /dev/null. Of the error stream nothing is counted: what it says is said by the exit code as well.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from actors.cli.exits import unwritten
from actors.cli.say import report_unwritten
from actors.node.named_files import open_for_writing

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path
    from typing import TextIO

    from typing_extensions import Buffer

__all__ = ["Output", "can_draw", "file_output", "settle", "take_streams", "until_reader_leaves"]

# whoever read has gone, and nobody is there to be told
_LEFT = frozenset({errno.EPIPE, errno.EIO, errno.ECONNRESET})
_on_leaving: list[Callable[[], None]] = []


class _Sink(io.FileIO):
    """A descriptor or a file whose writes do not fail; `lost` is what the first failure was."""

    def __init__(self, file: int | str) -> None:
        named = isinstance(file, str)
        super().__init__(file, "w", closefd=named, opener=open_for_writing if named else None)
        self.lost: OSError | None = None

    def write(self, data: Buffer, /) -> int:
        """All of it is taken, written or not."""
        size = memoryview(data).nbytes
        while self.lost is None:
            try:
                written = super().write(data)
            except OSError as error:
                self._lose(error)
                break
            if written is not None:
                return written
            # somebody made the terminal or pipe that we share non-blocking
            select.select((), (self,), ())
        return size

    def close(self) -> None:
        try:
            super().close()
        except OSError as error:
            self.lost = self.lost or error

    def _lose(self, error: OSError) -> None:
        self.lost = error
        if self.reader_left:
            for callback in _on_leaving:
                callback()

    @property
    def reader_left(self) -> bool:
        return self.lost is not None and self.lost.errno in _LEFT


class Output(io.TextIOWrapper):
    """Text into a sink."""

    def __init__(self, sink: _Sink, *, encoding: str = "utf-8", line_buffering: bool = False) -> None:
        super().__init__(
            io.BufferedWriter(sink), encoding=encoding, errors="backslashreplace", line_buffering=line_buffering
        )
        self._sink = sink

    @property
    def lost(self) -> OSError | None:
        """Why not all of it was written, once it has been flushed or closed."""
        return self._sink.lost

    @property
    def reader_left(self) -> bool:
        """Whether that is because nobody reads any more."""
        return self._sink.reader_left


def file_output(path: Path) -> Output:
    """A file to be written as the work goes on, emptied. Raises: OSError, when it can't be opened."""
    return Output(_Sink(str(path)))


def can_draw(stream: TextIO) -> bool:
    """Whether it is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def take_streams() -> None:
    """Make this process's standard streams ours; once, at its start."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # the lowest that is free is this one: no file of ours may get its number. What is written there fails
            os.open(os.devnull, os.O_RDONLY)
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]  # it is, when it was closed
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        before = getattr(sys, name)
        encoding = getattr(before, "encoding", None) or "utf-8"
        sink = _Sink(descriptor)
        setattr(sys, name, Output(sink, encoding=encoding, line_buffering=descriptor == 2 or sink.isatty()))


@contextmanager
def until_reader_leaves(callback: Callable[[], None]) -> Generator[None]:
    """Within it, `callback` is called when a stream or file finds that nobody reads it any more."""
    _on_leaving.append(callback)
    try:
        yield
    finally:
        _on_leaving.remove(callback)


def settle(code: int) -> int:
    """Write out what waits; the exit code, which tells if standard output did not take everything."""
    out = sys.stdout
    if not isinstance(out, Output):
        return code
    out.flush()
    if out.lost is None:
        return code
    if not out.reader_left:
        report_unwritten("standard output", out.lost)
    return unwritten(code)
