"""One process's streams and exit status, as services use them.

Theory of operation. While a process lives, unread output stays in its pipe and blocks the writer (backpressure). After
its end, `keep` moves the rest into memory (`Leftover`, bounded for the whole guest) and closes the stream at end of
file, so that an ended process holds no descriptor even if nobody reads. Readers and `keep` share a lock, `_turn`; a new
reader first cancels a `keep` that is waiting for bytes or for the lock (`_keeping`), so that it gets kept bytes at
once, and `keep` then retries. A descendant may hold the pipe open and write on: beyond a bound `keep` waits in `_room`
until a reader takes some. `forget` wakes it, and closing the stream ends its read.

Writers take turns by `_stdin_turn`. Closing stdin takes no lock: it wakes a writer that is blocked on a full pipe,
which returns how much it wrote. States and signals are in the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.errors import ResourceExhausted
from actors.guest.leftovers import Leftover

if TYPE_CHECKING:
    from actors.guest.engines.base import EngineProcess
    from actors.guest.leftovers import Leftovers
    from actors.limits import Limits
    from actors.wire.spec import ExitStatus, TerminalSize

__all__ = ["ProcessIo"]

# one write into a pipe of 1 MiB; smaller steps let a close interrupt
_WRITE_BYTES = 64 * 1024
# one step of moving a pipe's rest into memory
_KEPT_BYTES = 64 * 1024


class _Reader:
    """One output: read from its stream, and after the process's end from what `keep` has moved into memory."""

    def __init__(self, stream: trio.abc.ReceiveStream | None, left: Leftover, bound: int) -> None:
        self._stream = stream
        self._left = left
        self._bound = bound
        self._turn = trio.Lock()
        # the scope in which `keep` waits; a reader cancels it, to get the bytes that were kept
        self._keeping: trio.CancelScope | None = None
        self._room = trio.lowlevel.ParkingLot()
        # a reader has seen end of file
        self.at_end = stream is None

    async def read(self, limit: int) -> bytes:
        if self._keeping is not None:
            self._keeping.cancel()
        async with self._turn:
            if self._left.lost:
                lost, self._left.lost = self._left.lost, 0
                raise ResourceExhausted(
                    f"{lost} bytes of this output were dropped unread after its process's end: others needed the room; "
                    "what follows is there",
                    lost=lost,
                )
            data = self._left.take(limit) or await self._receive(limit)
            self._room.unpark_all()
            self.at_end = not data
            return data

    async def keep(self) -> None:
        """After the process's end: move unread output into memory, and close the stream at end of file. Another process may hold
        the write end for long and write on: beyond the bound this waits for a reader, as a live process's pipe does."""
        while (stream := self._stream) is not None:
            if self._left.size >= self._bound:
                await self._room.park()
                continue
            # includes waiting for the lock: kept bytes must not be withheld from a reader that arrives meanwhile
            with trio.CancelScope() as self._keeping:
                # a reader that waits for bytes holds the lock all the while
                async with self._turn:
                    data = await self._receive(_KEPT_BYTES)
                    # forgotten meanwhile: these bytes must not take others' room
                    if self._stream is stream:
                        self._left.put(data)
            self._keeping = None

    async def _receive(self, limit: int) -> bytes:
        """Empty at end of file, where the stream is closed to free its descriptor."""
        # a local copy: `forget` may clear it during the read
        stream = self._stream
        if stream is None:
            await trio.lowlevel.checkpoint()
            return b""
        try:
            data = bytes(await stream.receive_some(limit))
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            data = b""
        if not data:
            self._stream = None
            await stream.aclose()
        return data

    def forget(self) -> None:
        """Nobody reads it any more; the owner closes the stream itself."""
        self._stream = None
        self._left.clear()
        self._room.unpark_all()


class ProcessIo:
    """See the module; `engine` is the engine's process."""

    def __init__(self, engine: EngineProcess, leftovers: Leftovers, limits: Limits) -> None:
        self.engine = engine
        self.ended = trio.Event()
        self._status: ExitStatus | None = None
        self._stdin_turn = trio.Lock()
        self._stdin_closed = engine.stdin is None
        # a terminal has no stderr, and its input has no end of file of its own
        self._terminal = engine.stderr is None
        bound = limits.unread_output_bytes
        self._stdout = _Reader(engine.stdout, Leftover(leftovers), bound)
        self._stderr = _Reader(engine.stderr, Leftover(leftovers), bound)

    @property
    def read_to_end(self) -> bool:
        """Whether a reader has seen end of file on both outputs."""
        return self._stdout.at_end and self._stderr.at_end

    def finish(self, status: ExitStatus) -> None:
        """It has ended: wake its waiters; its output can still be read."""
        self._status = status
        self.ended.set()

    async def close_input(self) -> None:
        """After its end: close stdin; a blocked writer returns how much it wrote."""
        self._stdin_closed = True
        if self.engine.stdin is not None:
            await self.engine.stdin.aclose()

    async def keep_stdout(self) -> None:
        """After its end: free the descriptor once no writer is left, whether the output is read or not."""
        await self._stdout.keep()

    async def keep_stderr(self) -> None:
        """Like `keep_stdout`."""
        await self._stderr.keep()

    async def wait(self) -> ExitStatus:
        """Wait for its exit status; returns at once if it has ended."""
        await self.ended.wait()
        assert self._status is not None
        return self._status

    def signal(self, signum: int) -> None:
        """A no-op if it has ended. Raises: InvalidArgument for an invalid signal number."""
        self.engine.signal(signum)

    def resize(self, size: TerminalSize) -> None:
        """Raises: InvalidTransition without a terminal; InvalidArgument."""
        self.engine.resize(size)

    async def read_stdout(self, limit: int) -> bytes:
        """Wait for 1 to `limit` bytes; empty at end of file. A cancelled read loses nothing.

        Raises: ResourceExhausted, once for each gap: `lost` bytes were dropped before the next ones.
        """
        return await self._stdout.read(limit)

    async def read_stderr(self, limit: int) -> bytes:
        """Like `read_stdout`; with a terminal, always at end of file."""
        return await self._stderr.read(limit)

    async def write(self, data: bytes) -> int:
        """Write all of it, waiting for room; returns less if stdin is closed meanwhile, 0 if it is closed already."""
        written = 0
        async with self._stdin_turn:
            stdin = self.engine.stdin
            while written < len(data) and stdin is not None and not self._stdin_closed:
                piece = memoryview(data)[written : written + _WRITE_BYTES]
                try:
                    await stdin.send_all(piece)
                except (trio.ClosedResourceError, trio.BrokenResourceError):
                    break
                written += len(piece)
        return written

    async def close_stdin(self) -> None:
        """Close stdin without waiting for a writer, which returns how much it wrote; idempotent. A terminal's
        input stays open: closing it would hang up its whole session."""
        if not self._terminal and not self._stdin_closed and self.engine.stdin is not None:
            self._stdin_closed = True
            await self.engine.stdin.aclose()

    async def aclose(self) -> None:
        """Close all streams; readers see end of file."""
        self._stdin_closed = True
        await self.engine.aclose()
        self._stdout.forget()
        self._stderr.forget()
