"""The `EngineProcess` of the real engines: a reaped pid, and our ends of its streams.

For any process that an engine has spawned.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from actors.errors import InvalidArgument, InvalidTransition
from actors.guest.engines.streams import ReadEnd, WriteEnd, set_terminal_size
from actors.node.exhaustion import raise_if_exhausted
from actors.schemas.text import plain_text
from actors.wire.fields import check_signal
from actors.wire.spec import ExitStatus

if TYPE_CHECKING:
    from actors.guest.engines.reaper import Reaped
    from actors.wire.spec import TerminalSize

__all__ = ["RealProcess", "Stdio"]

# as in a shell: program not found, not executable; above this, death by a signal
_ABSENT, _REFUSED, _BY_SIGNAL = 127, 126, 128
_REASON_LENGTH = 200
_MASKS = re.compile(r"^Sig(?:Blk|Ign|Cgt):\s*([0-9a-f]+)$", re.MULTILINE)


class Stdio:
    """Our ends. With a terminal, `stdin` and `stdout` are two descriptors of its master, and `stderr` is None."""

    def __init__(self, stdin: WriteEnd, stdout: ReadEnd, stderr: ReadEnd | None, *, terminal: bool) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.terminal = terminal

    @property
    def outputs(self) -> list[ReadEnd]:
        """One or two; stderr is the last."""
        return [self.stdout] if self.stderr is None else [self.stdout, self.stderr]

    def close(self) -> None:
        """Close all three."""
        self.stdin.close()
        for output in self.outputs:
            output.close()


class RealProcess:
    """See `EngineProcess`.

    A runtime's process becomes the container's by execve(2); if that fails, the runtime's message is on stderr and the
    exit code is 1. So readers wait until `runs` or the exit tells whose output it is; after a failed execve there is no
    output, and the exit code is a shell's: 127 if something was not found, else 126.

    Args:
        runtime: the process's comm while it is still the runtime; empty for none.
    """

    def __init__(self, reaped: Reaped, stdio: Stdio, *, runtime: str = "") -> None:
        self.reaped = reaped
        # why its program could not be executed; empty if it was, or not known yet
        self.failure = ""
        # killed while still the runtime
        self.killed_early = False
        self._stdio = stdio
        self._runtime = runtime
        if runtime:
            for output in stdio.outputs:
                output.hold()
            reaped.on_end = self._ended

    def runs(self) -> None:
        """It has executed the container's program."""
        self._runtime = ""
        for output in self._stdio.outputs:
            output.release()

    def _ended(self) -> None:
        status = self.reaped.status
        if not self._runtime or self.reaped.last_name != self._runtime or status is None:
            self.runs()
            return
        text = b"".join(output.drop() for output in self._stdio.outputs)
        # killed before its start, not refused
        self.killed_early = status.code >= _BY_SIGNAL
        if not self.killed_early:
            self.failure = _reason(text)

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
        status = await self.reaped.wait()
        if self.failure:
            return ExitStatus(_ABSENT if "no such file" in self.failure else _REFUSED)
        return status

    def signal(self, signum: int) -> bool:
        check_signal(signum)
        return self.reaped.signal(signum)

    def handles(self, signum: int) -> bool:
        return not self._runtime and self.reaped.status is None and _handles(self.reaped.pid, signum)

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
            return  # its terminal is gone with it: a late resize is a no-op

    def close(self) -> None:
        """`aclose` without waiting."""
        self._stdio.close()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()


def _handles(pid: int, signum: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError as error:
        raise_if_exhausted(error)
        return False
    masks = (int(mask, 16) for mask in _MASKS.findall(text))
    return any(mask >> (signum - 1) & 1 for mask in masks)


def _reason(text: bytes) -> str:
    """The reason in a runtime's last message: `exec /x: exec format error`, or the same in JSON."""
    last = text.decode("utf-8", "replace").strip().rpartition("\n")[2]
    with suppress(ValueError, KeyError, TypeError):
        last = str(json.loads(last)["msg"])
    return plain_text(last.rpartition(": ")[2].lower(), _REASON_LENGTH) or "the kernel does not run it"
