"""One process's streams and its end, as the services use them: who reads takes turns, who writes waits for room.

For the conductor, which makes one for each process. Reads wait for at least one byte, and empty means the end;
writes hold no lock but their own stream's. Not for signals' rules or states (the machine).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from actors.guest.engines.base import EngineProcess
    from actors.wire.spec import ExitStatus, TerminalSize

__all__ = ["ProcessIo"]

# one write into a pipe of 1 MiB; smaller steps let a close come between
_WRITE_BYTES = 64 * 1024


class _Reader:
    def __init__(self, stream: trio.abc.ReceiveStream | None) -> None:
        self._stream = stream
        self._turn = trio.Lock()
        self.at_end = stream is None

    async def read(self, limit: int) -> bytes:
        if self._stream is None:
            await trio.lowlevel.checkpoint()
            return b""
        async with self._turn:
            try:
                data = bytes(await self._stream.receive_some(limit))
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                data = b""
            self.at_end = not data
            return data


class ProcessIo:
    """See the module; `engine` is the process below."""

    def __init__(self, engine: EngineProcess) -> None:
        self.engine = engine
        self.ended = trio.Event()
        self._status: ExitStatus | None = None
        self._stdin_turn = trio.Lock()
        self._stdin_closed = engine.stdin is None
        # with a terminal there is no stderr, and its input has no end of its own
        self._terminal = engine.stderr is None
        self._stdout = _Reader(engine.stdout)
        self._stderr = _Reader(engine.stderr)

    @property
    def read_to_end(self) -> bool:
        """Whether its reader has seen the end of both outputs."""
        return self._stdout.at_end and self._stderr.at_end

    def finish(self, status: ExitStatus) -> None:
        """It has ended; its waiters are answered, its output can still be read."""
        self._status = status
        self.ended.set()

    async def wait(self) -> ExitStatus:
        """Its end, at once when it has ended."""
        await self.ended.wait()
        assert self._status is not None
        return self._status

    def signal(self, signum: int) -> None:
        """One that has ended is fine. Raises: InvalidArgument for a number that is no signal."""
        self.engine.signal(signum)

    def resize(self, size: TerminalSize) -> None:
        """Raises: InvalidTransition without a terminal; InvalidArgument."""
        self.engine.resize(size)

    async def read_stdout(self, limit: int) -> bytes:
        """1 to `limit` bytes, waiting for them; empty is the end. A cancelled read loses nothing."""
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
        """End of file, without waiting for a writer (who is told how much went in); repeated is fine, and a terminal's
        input is left open: closing it would hang up its whole session."""
        if not self._terminal and not self._stdin_closed and self.engine.stdin is not None:
            self._stdin_closed = True
            await self.engine.stdin.aclose()

    async def aclose(self) -> None:
        """Close all streams; who reads sees the end."""
        self._stdin_closed = True
        await self.engine.aclose()
