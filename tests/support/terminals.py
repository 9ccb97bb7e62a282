"""A program at a terminal of its own, for tests that type at it as a person would.

Not for containers' terminals: those are the product's. Every wait has a bound and fails with what was seen.
"""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

__all__ = ["Terminal", "open_terminal"]

# a machine under load starts an interpreter in seconds
_SECONDS = 30.0


class Terminal:
    """What was written by the program is in `seen`; `expect` waits for more of it."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.seen = ""
        self._master = master
        self._at = 0

    def type(self, text: str) -> None:
        """Keys, control characters included."""
        os.write(self._master, text.encode())

    def interrupt(self) -> None:
        """^C, which the terminal makes a signal of."""
        self.type("\x03")

    def expect(self, text: str, seconds: float = _SECONDS) -> str:
        """Wait until `text` is seen after what was expected before; what came in between."""
        while (found := self.seen.find(text, self._at)) < 0:
            if not select.select([self._master], [], [], seconds)[0]:
                raise AssertionError(f"{text!r} did not come; seen: {self.seen[self._at :]!r}")
            try:
                data = os.read(self._master, 65536)
            except OSError:
                data = b""
            if not data:
                raise AssertionError(f"it ended before {text!r}; seen: {self.seen[self._at :]!r}")
            self.seen += data.decode("utf-8", "replace")
        between, self._at = self.seen[self._at : found], found + len(text)
        return between

    def interrupt_until(self, text: str) -> None:
        """^C until `text` is seen: readline takes no notice of one that comes while it is busy with a key."""
        for _ in range(int(_SECONDS)):
            self.interrupt()
            try:
                self.expect(text, seconds=1)
            except AssertionError:
                continue
            return
        raise AssertionError(f"{text!r} did not come after ^C; seen: {self.seen[self._at :]!r}")

    def end(self) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(_SECONDS)


@contextmanager
def open_terminal(argv: Sequence[str], *, env: Mapping[str, str]) -> Generator[Terminal]:
    """Start it as the leader of a session at a new terminal; killed at the end if it is still there."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            argv,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(env),
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(slave)
        try:
            yield Terminal(process, master)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(_SECONDS)
    finally:
        os.close(master)


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
