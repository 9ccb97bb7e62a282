"""The one `EngineProcess` of the real engines: a reaped pid, and our ends of its streams.

For whatever an engine has spawned and named by pid. Not for spawning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.errors import InvalidArgument, InvalidTransition
from actors.guest.engines.streams import ReadEnd, WriteEnd, set_terminal_size

if TYPE_CHECKING:
    from actors.guest.engines.reaper import Reaped
    from actors.wire.spec import ExitStatus, TerminalSize

__all__ = ["RealProcess", "Stdio"]


class Stdio:
    """Our ends. With a terminal, `stdin` and `stdout` are two descriptors of its master, and `stderr` is None."""

    def __init__(self, stdin: WriteEnd, stdout: ReadEnd, stderr: ReadEnd | None, *, terminal: bool) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.terminal = terminal

    def close(self) -> None:
        """Close all three."""
        self.stdin.close()
        self.stdout.close()
        if self.stderr is not None:
            self.stderr.close()


class RealProcess:
    """See `EngineProcess`."""

    def __init__(self, reaped: Reaped, stdio: Stdio) -> None:
        self.reaped = reaped
        self._stdio = stdio

    @property
    def stdin(self) -> WriteEnd:
        return self._stdio.stdin

    @property
    def stdout(self) -> ReadEnd:
        return self._stdio.stdout

    @property
    def stderr(self) -> ReadEnd | None:
        return self._stdio.stderr

    async def wait(self) -> ExitStatus:
        return await self.reaped.wait()

    def signal(self, signum: int) -> bool:
        try:
            return self.reaped.signal(signum)
        except ValueError as error:
            raise InvalidArgument(str(error), field="signal") from error

    def resize(self, size: TerminalSize) -> None:
        if not self._stdio.terminal:
            raise InvalidTransition(
                "winsize: the process has no terminal; create it with one", state="no terminal", verb="winsize"
            )
        if not (0 < size.rows < 65536 and 0 < size.columns < 65536):
            raise InvalidArgument(f"winsize {size.rows}x{size.columns}: each must be 1 to 65535", field="size")
        try:
            set_terminal_size(self._stdio.stdout.fileno(), size)
        except (OSError, trio.ClosedResourceError):
            return  # its terminal is gone with it: a resize after the end changes nothing

    def close(self) -> None:
        """`aclose`, at once."""
        self._stdio.close()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()
