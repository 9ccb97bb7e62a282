"""One process of the simulated engine, and the guest's ends of its streams.

They act on simulated pipes and terminals as the real engines' ends do on the kernel's, with the same errors:
a cancelled read loses nothing, and closing an end wakes tasks that wait on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

import trio

from actors.errors import InvalidArgument, InvalidTransition
from actors.simulation.box.kernel.calls import CallFailed
from actors.wire.fields import check_signal
from actors.wire.spec import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.simulation.box.kernel.files import PipeEnd, Waiters
    from actors.simulation.box.kernel.kernel import Kernel
    from actors.simulation.box.kernel.process import Process
    from actors.simulation.box.kernel.terminal import Terminal
    from actors.wire.spec import TerminalSize

__all__ = [
    "Driver",
    "ReadEnd",
    "SimulatedProcess",
    "Streams",
    "WriteEnd",
    "read_pipe",
    "read_terminal",
    "write_pipe",
    "write_terminal",
]

T = TypeVar("T")

_READ_BYTES = 1024 * 1024


class Driver(Protocol):
    """Drives the simulated kernel."""

    kernel: Kernel

    def settle(self) -> None:
        """Something was changed from outside: let the processes run as far as they can."""


class _End:
    def __init__(self, driver: Driver, waiters: Waiters, close: Callable[[], None]) -> None:
        self._driver = driver
        self._close = close
        self._lot = trio.lowlevel.ParkingLot()
        self._closed = False
        waiters.on_change = self._wake

    def _wake(self) -> None:
        self._lot.unpark_all()

    def _check(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this stream was closed")

    async def _until(self, attempt: Callable[[], T | None]) -> T:
        """Wait until `attempt` returns a value; always a checkpoint. Raises: ClosedResourceError."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check()
        given = attempt()
        waited = given is None
        while given is None:
            await self._lot.park()
            self._check()
            given = attempt()
        self._driver.settle()
        if not waited:
            await trio.lowlevel.cancel_shielded_checkpoint()
        return given

    def close(self) -> None:
        """Close it and wake waiting tasks; idempotent."""
        if not self._closed:
            self._closed = True
            self._close()
            self._lot.unpark_all()
            self._driver.settle()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()


class ReadEnd(_End, trio.abc.ReceiveStream):
    """Output of a process."""

    def __init__(
        self, driver: Driver, read: Callable[[int], bytes | None], waiters: Waiters, close: Callable[[], None]
    ) -> None:
        super().__init__(driver, waiters, close)
        self._read = read

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """At least one byte, at most `max_bytes` (1 MiB); empty at end of file. Raises: ClosedResourceError."""
        return await self._until(lambda: self._read(max_bytes or _READ_BYTES))


class WriteEnd(_End, trio.abc.SendStream):
    """Input of a process."""

    def __init__(
        self,
        driver: Driver,
        write: Callable[[bytes | memoryview], int | None],
        waiters: Waiters,
        close: Callable[[], None],
    ) -> None:
        super().__init__(driver, waiters, close)
        self._write = write

    async def write_some(self, data: bytes | memoryview) -> int:
        """Wait for room, then write what fits; returns the byte count. Raises: BrokenResourceError without a reader, ClosedResourceError."""
        try:
            return await self._until(lambda: self._write(data))
        except CallFailed as error:
            raise trio.BrokenResourceError(f"writing a process's input: {error.error}") from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of it. Raises: BrokenResourceError, ClosedResourceError."""
        view = memoryview(bytes(data))
        if not view:
            self._check()
            await trio.lowlevel.checkpoint()
        while view:
            view = view[await self.write_some(view) :]

    async def wait_send_all_might_not_block(self) -> None:
        self._check()
        await trio.lowlevel.checkpoint()


def read_pipe(driver: Driver, end: PipeEnd) -> ReadEnd:
    """Our end of a process's output."""
    end.opened()
    return ReadEnd(driver, end.read, end.readable, end.closed)


def write_pipe(driver: Driver, end: PipeEnd) -> WriteEnd:
    """Our end of a process's input."""
    end.opened()
    return WriteEnd(driver, end.write, end.writable, end.closed)


def read_terminal(driver: Driver, terminal: Terminal) -> ReadEnd:
    """A terminal's output; closing it hangs up."""
    return ReadEnd(driver, terminal.master_read, terminal.printed, terminal.hang_up)


def write_terminal(driver: Driver, terminal: Terminal) -> WriteEnd:
    """A terminal's input; the reading end does the hang-up."""
    return WriteEnd(driver, terminal.master_write, terminal.input_ready, lambda: None)


# stdin, stdout, stderr
Streams: TypeAlias = tuple[WriteEnd, ReadEnd, ReadEnd | None]


class SimulatedProcess:
    """See `EngineProcess`."""

    def __init__(
        self,
        driver: Driver,
        process: Process,
        streams: Streams,
        terminal: Terminal | None,
    ) -> None:
        self.process = process
        self._driver = driver
        self._stdin, self._stdout, self._stderr = streams
        self._terminal = terminal
        self._ended = trio.Event()
        process.on_end = lambda _: self._ended.set()
        if process.status is not None:
            self._ended.set()

    @property
    def stdin(self) -> WriteEnd:
        return self._stdin

    @property
    def stdout(self) -> ReadEnd:
        return self._stdout

    @property
    def stderr(self) -> ReadEnd | None:
        return self._stderr

    async def wait(self) -> ExitStatus:
        await self._ended.wait()
        assert self.process.status is not None
        return ExitStatus(self.process.status)

    def signal(self, signum: int) -> bool:
        check_signal(signum)
        if self.process.status is not None:
            return False
        if signum:
            self._driver.kernel.signal(self.process, signum)
            self._driver.settle()
        return True

    def handles(self, signum: int) -> bool:
        return signum in self.process.dispositions

    def resize(self, size: TerminalSize) -> None:
        if self._terminal is None:
            raise InvalidTransition(
                "winsize: the process has no terminal; create it with one", state="no terminal", verb="winsize"
            )
        if not (0 < size.rows < 65536 and 0 < size.columns < 65536):
            raise InvalidArgument(f"winsize {size.rows}x{size.columns}: each must be 1 to 65535", field="size")
        self._terminal.resize(size.rows, size.columns)
        self._driver.settle()

    async def aclose(self) -> None:
        for end in (self._stdin, self._stdout, self._stderr):
            if end is not None:
                end.close()
        await trio.lowlevel.checkpoint()
