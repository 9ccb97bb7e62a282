"""One process's streams and its end, as the services use them: who reads takes turns, who writes waits for room.

For the executor, which makes one for each process. Reads wait for at least one byte, and empty means the end;
writes hold no lock but their own stream's. A stream that has come to its end is closed, and what an ended process left
unread is held in memory: it costs no descriptor. Not for the rules of signals or states (the model).
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

# one write into a pipe of 1 MiB; smaller steps let a close come between
_WRITE_BYTES = 64 * 1024
# one step of bringing a pipe's rest into memory
_KEPT_BYTES = 64 * 1024


class _Reader:
    """One output: from its stream, and after its process's end from what `keep` has brought into memory."""

    def __init__(self, stream: trio.abc.ReceiveStream | None, left: Leftover, bound: int) -> None:
        self._stream = stream
        self._left = left
        self._bound = bound
        self._turn = trio.Lock()
        # what `keep` waits in; a reader ends that wait, for what it brought already is the reader's
        self._keeping: trio.CancelScope | None = None
        self._room = trio.lowlevel.ParkingLot()
        # its reader has seen the end
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
        """After the process's end: bring what is unread into memory, and close the stream at its end. Somebody else may hold
        the other end for long, and write on: beyond the bound that waits for a reader, as in a live process's pipe."""
        while (stream := self._stream) is not None:
            if self._left.size >= self._bound:
                await self._room.park()
                continue
            # around the turn, too: what was brought before is not withheld from who comes while this waits for its turn
            with trio.CancelScope() as self._keeping:
                # a reader that waits for bytes has the turn for as long
                async with self._turn:
                    data = await self._receive(_KEPT_BYTES)
                    # what was forgotten meanwhile must not take others' room
                    if self._stream is stream:
                        self._left.put(data)
            self._keeping = None

    async def _receive(self, limit: int) -> bytes:
        """Empty at the end, where the stream is closed: it is of no use to anybody, and costs a descriptor."""
        # kept here: it may be forgotten while its bytes are waited for
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
        """Nobody reads it any more; its stream is closed by who closes them all."""
        self._stream = None
        self._left.clear()
        self._room.unpark_all()


class ProcessIo:
    """See the module; `engine` is the process below."""

    def __init__(self, engine: EngineProcess, leftovers: Leftovers, limits: Limits) -> None:
        self.engine = engine
        self.ended = trio.Event()
        self._status: ExitStatus | None = None
        self._stdin_turn = trio.Lock()
        self._stdin_closed = engine.stdin is None
        # with a terminal there is no stderr, and its input has no end of its own
        self._terminal = engine.stderr is None
        bound = limits.unread_output_bytes
        self._stdout = _Reader(engine.stdout, Leftover(leftovers), bound)
        self._stderr = _Reader(engine.stderr, Leftover(leftovers), bound)

    @property
    def read_to_end(self) -> bool:
        """Whether its reader has seen the end of both outputs."""
        return self._stdout.at_end and self._stderr.at_end

    def finish(self, status: ExitStatus) -> None:
        """It has ended; its waiters are answered, its output can still be read."""
        self._status = status
        self.ended.set()

    async def close_input(self) -> None:
        """After its end: nobody is told of input that goes nowhere, and who writes is told how much went in."""
        self._stdin_closed = True
        if self.engine.stdin is not None:
            await self.engine.stdin.aclose()

    async def keep_stdout(self) -> None:
        """After its end: let go of the descriptor once nobody can write any more, read or not."""
        await self._stdout.keep()

    async def keep_stderr(self) -> None:
        """Like `keep_stdout`."""
        await self._stderr.keep()

    async def wait(self) -> ExitStatus:
        """Its end, at once when it has ended."""
        await self.ended.wait()
        assert self._status is not None
        return self._status

    def signal(self, signum: int) -> None:
        """One that has ended is no error. Raises: InvalidArgument for a number that is no signal."""
        self.engine.signal(signum)

    def resize(self, size: TerminalSize) -> None:
        """Raises: InvalidTransition without a terminal; InvalidArgument."""
        self.engine.resize(size)

    async def read_stdout(self, limit: int) -> bytes:
        """1 to `limit` bytes, waiting for them; empty is the end. A cancelled read loses nothing.

        Raises: ResourceExhausted, once for each gap: so many bytes (`lost`) were dropped before the next.
        """
        return await self._stdout.read(limit)

    async def read_stderr(self, limit: int) -> bytes:
        """Like `read_stdout`; at its end from the start with a terminal."""
        return await self._stderr.read(limit)

    async def write(self, data: bytes) -> int:
        """All of it, waiting for room; less when the input is closed meanwhile, 0 once it is. Empty writes nothing."""
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
        """End of file, without waiting for a writer (who is told how much went in); idempotent, and a terminal's
        input is left open: closing it would hang up its whole session."""
        if not self._terminal and not self._stdin_closed and self.engine.stdin is not None:
            self._stdin_closed = True
            await self.engine.stdin.aclose()

    async def aclose(self) -> None:
        """Close all streams; who reads sees the end."""
        self._stdin_closed = True
        await self.engine.aclose()
        self._stdout.forget()
        self._stderr.forget()
