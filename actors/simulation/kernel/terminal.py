"""Terminals: a line discipline between the end that a guest holds and the processes behind it.

Cooked mode alone: lines, echo, ^C, ^D, `\\n` out as `\\r\\n`, a size whose change is a signal. Not for programs that
turn any of that off; `stty` here can only ask.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from actors.simulation.kernel.calls import CallFailed
from actors.simulation.kernel.files import Waiters

if TYPE_CHECKING:
    from actors.simulation.kernel.process import Process

__all__ = ["Terminal"]

# Linux' line discipline holds as much of one line, and its flip buffers several times that on the way out
_INPUT_BYTES = 4096
_OUTPUT_BYTES = 64 * 1024


class Terminal:
    """The processes' side is an `OpenFile`; the guest's side are the methods that begin with `master_`."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows = rows
        self.columns = columns
        # whose controlling terminal it is, in order of arrival
        self.processes: dict[Process, None] = {}
        self._output = bytearray()
        self._line = bytearray()
        # whole lines; an empty one is an end of file
        self._lines: list[bytes] = []
        self._descriptors = 0
        self._hung_up = False
        self._waiters = Waiters()

    # the processes' side

    def read(self, size: int) -> bytes | None:
        if not self._lines:
            return b"" if self._hung_up else None
        line = self._lines.pop(0)
        if len(line) > size:
            self._lines.insert(0, line[size:])
        self._waiters.changed()
        return line[:size]

    def write(self, data: bytes) -> int | None:
        if self._hung_up:
            raise CallFailed("Input/output error")
        room = _OUTPUT_BYTES - len(self._output)
        # each byte may become two
        taken = data[: room // 2]
        if not taken:
            return None
        self._output += taken.replace(b"\n", b"\r\n")
        self._waiters.changed()
        return len(taken)

    def waiters(self) -> Waiters:
        return self._waiters

    def opened(self) -> None:
        self._descriptors += 1

    def closed(self) -> None:
        self._descriptors -= 1
        self._waiters.changed()

    # the guest's side

    def master_read(self, size: int) -> bytes | None:
        """What was printed; empty once nobody has it open, None for later."""
        if not self._output:
            return None if self._descriptors else b""
        data = bytes(self._output[:size])
        del self._output[:size]
        self._waiters.changed()
        return data

    def master_write(self, data: bytes) -> int | None:
        """Type; how many bytes were taken, None for later. Raises: CallFailed once nobody has it open."""
        if not self._descriptors:
            raise CallFailed("Input/output error")
        held = len(self._line) + sum(map(len, self._lines))
        taken = data[: _INPUT_BYTES - held]
        if not taken:
            return None
        for byte in taken:
            self._type(byte)
        self._waiters.changed()
        return len(taken)

    def master_resize(self, rows: int, columns: int) -> None:
        """A new size; every process behind it is told."""
        if (rows, columns) != (self.rows, self.columns):
            self.rows, self.columns = rows, columns
            self._signal(signal.SIGWINCH)

    def hang_up(self) -> None:
        """The guest's end is closed, or the session's leader has ended."""
        if not self._hung_up:
            self._hung_up = True
            self._signal(signal.SIGHUP)
            self._waiters.changed()

    def _type(self, byte: int) -> None:
        if byte == 0x03:
            self._line.clear()
            self._output += b"^C"
            self._signal(signal.SIGINT)
        elif byte == 0x04:
            self._end_line()
        elif byte in (0x0A, 0x0D):
            self._output += b"\r\n"
            self._line.append(0x0A)
            self._end_line()
        else:
            self._output.append(byte)
            self._line.append(byte)

    def _end_line(self) -> None:
        self._lines.append(bytes(self._line))
        self._line.clear()

    def _signal(self, signum: signal.Signals) -> None:
        for process in list(self.processes):
            process.kernel.signal(process, signum)
