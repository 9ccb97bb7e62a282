"""The host's end of a template process: one for all guests of an `EmbeddedGuests`, started by the first of them.

`actors.guest.template` is the other end, and says how both speak. A template that is dead is made again by the next start, which is
then as slow as a first one; launchers and guests that were forked from it live on.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from actors.errors import GuestDied
from actors.launchers.forked import first_report
from transports.plain import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from actors.launchers.forked import Launcher
    from actors.seams import ChildProcess, Processes

__all__ = ["GuestTemplate"]

_SAID_BYTES = 2000
# an idle template ends at once when it is asked to
_ENDING_SECONDS = 2.0


class GuestTemplate:
    """Forks launchers, from a process that is started when one is first needed; see `actors.launchers.templates`."""

    def __init__(self, argv: Sequence[str], *, environment: Mapping[str, str], processes: Processes) -> None:
        self._argv = argv
        self._environment = environment
        self._processes = processes
        self._running: _Process | None = None
        # starting and asking it: one task at a time
        self._turn = trio.Lock()

    @property
    def pid(self) -> int | None:
        """Of its process, if it has been started."""
        return None if self._running is None else self._running.child.pid

    async def fork(self, log: Path, *, seconds: float) -> Launcher:
        """A launcher that waits to be told what to start, in a session of its own; its output is appended to `log`.

        Raises:
            OSError: no process or descriptor is to be had.
            GuestDied: the template does not come up, or does not fork within `seconds`; the text has what it said.
        """
        template = None
        with trio.move_on_after(seconds):
            while True:
                async with self._turn:
                    fresh = self._running is None or self._running.ended
                    template = await self._renewed() if fresh else self._running
                    assert template is not None
                    control = await template.ask(log)
                launcher = await first_report(control)
                if launcher is not None:
                    return launcher
                # the template is dead, and another is made; or the launcher is, and another is forked
                if fresh and await template.ends_now():
                    raise GuestDied(f"the guest did not come up: its template {template.trouble}")
        trouble = "was not started" if template is None else template.trouble
        if template is not None and template is self._running:
            await self.aclose()
        raise GuestDied(f"the guest did not come up within {seconds:g} s: its template {trouble}")

    async def aclose(self) -> None:
        """End the template process; what was forked lives on."""
        if self._running is not None:
            ending, self._running = self._running, None
            await ending.aclose()

    async def _renewed(self) -> _Process:
        await self.aclose()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        # no file to be left behind, and no reader that must keep up
        said = os.memfd_create("katrio-template", os.MFD_CLOEXEC)
        try:
            child = await self._processes.spawn(self._argv, env=self._environment, log=said, stdin=theirs.fileno())
        except BaseException:
            ours.close()
            os.close(said)
            raise
        finally:
            theirs.close()
        self._running = _Process(child, ours, said)
        return self._running


class _Process:
    """One template process, the socket that it is asked over, and the file that it prints to."""

    def __init__(self, child: ChildProcess, requests: socket.socket, said: int) -> None:
        self.child = child
        self._requests = requests
        self._said = said

    @property
    def ended(self) -> bool:
        return self.child.poll() is not None

    async def ends_now(self) -> bool:
        """Whether it has ended: its sockets do a moment before it does."""
        with trio.move_on_after(_ENDING_SECONDS):
            await self.child.wait()
        return self.ended

    @property
    def trouble(self) -> str:
        """Whether it runs, and the last that it said."""
        code = self.child.poll()
        how = "runs" if code is None else f"ended with code {code}"
        size = os.fstat(self._said).st_size
        said = os.pread(self._said, _SAID_BYTES, max(0, size - _SAID_BYTES)).decode("utf-8", "replace").strip()
        return f"{how}{said and f'; the last it said: {printable(said)}'}"

    async def ask(self, log: Path) -> socket.socket:
        """Have it fork; our end of the launcher's control socket, which ends at once if there is no launcher. Raises: OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            ours.setblocking(False)
            with theirs, log.open("ab") as output:
                while not self._sent(theirs.fileno(), output.fileno()):
                    await trio.lowlevel.wait_writable(self._requests)
        except BaseException:
            ours.close()
            raise
        return ours

    def _sent(self, *descriptors: int) -> bool:
        """False while its queue is full; one that is dead takes everything."""
        try:
            socket.send_fds(self._requests, [b"\0"], descriptors)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            return True
        return True

    async def aclose(self) -> None:
        # a program that has forked has copies of the socket: to close ours alone would tell nothing
        with suppress(OSError):
            self._requests.shutdown(socket.SHUT_WR)
        self._requests.close()
        with trio.CancelScope(shield=True):
            if not await self.ends_now():
                self.child.send_signal(signal.SIGKILL)
            await self.child.wait()
        os.close(self._said)
