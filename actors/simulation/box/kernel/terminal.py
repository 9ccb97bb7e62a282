"""Terminals: a line discipline between the master, which the guest has open, and the processes on the slave.

Lines, echo, erasing, ^C ^\\ ^D ^U, `\\n` out as `\\r\\n`, a window size whose change sends SIGWINCH; echo and canonical mode can be turned
off. Not for job control: every process of the session is in the foreground.
"""

from __future__ import annotations

import signal
from typing import Protocol

from actors.simulation.box.kernel.calls import CallFailed
from actors.simulation.box.kernel.files import Waiters

__all__ = ["Terminal"]

# Linux' line discipline holds as much of one line, and its flip buffers several times that on the way out
_INPUT_BYTES = 4096
_OUTPUT_BYTES = 64 * 1024
_SIGNALS = {0x03: signal.SIGINT, 0x1C: signal.SIGQUIT}
_END, _KILL_LINE, _ERASE = 0x04, 0x15, (0x7F, 0x08)


class Member(Protocol):
    """A process of the terminal's session."""

    def signal(self, signum: int) -> None:
        """Deliver one: of a key, a new size or a hang-up."""
        ...


class Terminal:
    """The processes' side is an `OpenFile`; the guest's side are the methods that begin with `master_`."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows = rows
        self.columns = columns
        self.echo = True
        # canonical mode; False: bytes reach a reader as they are typed
        self.lines = True
        # whose controlling terminal it is, in order of arrival: the first is the session's leader
        self.processes: dict[Member, None] = {}
        # processes wait at these; so does the guest, for the other direction
        self.readable = Waiters()
        self.writable = Waiters()
        self.printed = Waiters()
        self.input_ready = Waiters()
        self._output = bytearray()
        self._line = bytearray()
        # what can be read, line by line; an empty one is an end of file
        self._lines: list[bytes] = []
        self._descriptors = 0
        self._hung_up = False

    # the processes' side

    def read(self, size: int) -> bytes | None:
        if not self._lines:
            return b"" if self._hung_up else None
        line = self._lines.pop(0)
        if len(line) > size:
            self._lines.insert(0, line[size:])
        self.input_ready.changed()
        return line[:size]

    def write(self, data: bytes | memoryview) -> int | None:
        if self._hung_up:
            raise CallFailed("Input/output error")
        # each byte may become two
        room = (_OUTPUT_BYTES - len(self._output)) // 2
        if not data:
            return 0
        if room <= 0:
            return None
        taken = bytes(data[:room])
        self._output += taken.replace(b"\n", b"\r\n")
        self.printed.changed()
        return len(taken)

    def opened(self) -> None:
        self._descriptors += 1

    def closed(self) -> None:
        self._descriptors -= 1
        if not self._descriptors:
            self.printed.changed()

    def attach(self, process: Member) -> None:
        """It joins the session."""
        self.processes[process] = None

    def leave(self, process: Member) -> None:
        """It has ended; with the session's leader the terminal hangs up."""
        leader = next(iter(self.processes)) is process
        del self.processes[process]
        if leader:
            self.hang_up()

    # the guest's side

    def master_read(self, size: int) -> bytes | None:
        """Output; empty once no process has it open, None if it would block."""
        if not self._output:
            return None if self._descriptors and not self._hung_up else b""
        data = bytes(self._output[:size])
        del self._output[:size]
        self.writable.changed()
        return data

    def master_write(self, data: bytes | memoryview) -> int | None:
        """Input; the number of bytes taken, None if it would block. Raises: CallFailed once no process has it open."""
        if not self._descriptors or self._hung_up:
            raise CallFailed("Input/output error")
        held = sum(map(len, self._lines))
        if held >= _INPUT_BYTES:
            return None
        # a line that is too long loses its rest, as on Linux: nobody could read it before its end
        for byte in bytes(data[: _INPUT_BYTES - held]):
            self._type(byte)
        if self._lines:
            self.readable.changed()
        if self._output:
            self.printed.changed()
        return min(len(data), _INPUT_BYTES - held)

    def resize(self, rows: int, columns: int) -> None:
        """Set the size; every process of the session gets SIGWINCH."""
        if (rows, columns) != (self.rows, self.columns):
            self.rows, self.columns = rows, columns
            self._signal(signal.SIGWINCH)

    def hang_up(self) -> None:
        """The guest's end is closed, or the session's leader has ended."""
        if not self._hung_up:
            self._hung_up = True
            self._signal(signal.SIGHUP)
            for waiters in (self.readable, self.writable, self.printed, self.input_ready):
                waiters.changed()

    def _type(self, byte: int) -> None:
        byte = 0x0A if byte == 0x0D else byte
        if not self.lines:
            self._show(bytes((byte,)))
            self._lines.append(bytes((byte,)))
        elif byte in _SIGNALS:
            self._line.clear()
            self._show(b"^" + bytes((byte + 0x40,)))
            self._signal(_SIGNALS[byte])
        elif byte == _END:
            self._end_line()
        elif byte == 0x0A:
            self._show(b"\n")
            self._line.append(byte)
            self._end_line()
        elif byte in _ERASE:
            if self._line:
                del self._line[-1]
                self._show(b"\b \b")
        elif byte == _KILL_LINE:
            self._show(b"\b \b" * len(self._line))
            self._line.clear()
        elif len(self._line) < _INPUT_BYTES - 1:
            self._line.append(byte)
            self._show(bytes((byte,)) if byte >= 0x20 or byte == 0x09 else b"^" + bytes((byte + 0x40,)))

    def _show(self, data: bytes) -> None:
        if self.echo and len(self._output) < _OUTPUT_BYTES:
            self._output += data.replace(b"\n", b"\r\n")

    def _end_line(self) -> None:
        self._lines.append(bytes(self._line))
        self._line.clear()

    def _signal(self, signum: signal.Signals) -> None:
        for process in list(self.processes):
            process.signal(signum)
