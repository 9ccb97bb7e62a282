"""The host's end of a template process: one for all guests of an `EmbeddedGuests`, started by the first of them.

`actors.guest.template` is the other end, and says how both speak. A template that is dead is made again by the next start, which is
then as slow as a first one; launchers and guests that were forked from it live on.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import trio

from actors.errors import GuestDied
from transports.plain import printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from pathlib import Path

    from actors.seams import ChildProcess, Processes

__all__ = ["GuestTemplate", "Launcher", "open_template"]

# a message carries one descriptor at the most, and two numbers
_MESSAGE_BYTES = 256
_SAID_BYTES = 2000
# of a launcher that has not said how it ended
KILLED = -signal.SIGKILL
# an idle template ends at once when it is asked to
_ENDING_SECONDS = 2.0


class Launcher:
    """A launcher that was forked: what is read from its control socket, and its pidfd.

    Not its parent: what it ends with is what it reported, and -9 if it was killed before it could.
    """

    def __init__(self, control: socket.socket, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._control = control
        self._pidfd = pidfd
        self._guest: int | None = None
        self._code: int | None = None
        # one task at a time can wait for a descriptor
        self._waiting = trio.Lock()

    def begin(self, sandbox: str, directory: Path) -> None:
        """Tell it what to start. If it was killed meanwhile, `wait` says so."""
        with suppress(OSError):
            self._control.send(json.dumps([sandbox, str(directory)]).encode())

    async def wait(self) -> int:
        """Its exit code; any number of tasks may wait."""
        async with self._waiting:
            if self._code is None:
                await trio.lowlevel.wait_readable(self._pidfd)
                self._end()
        assert self._code is not None
        return self._code

    def poll(self) -> int | None:
        """What `wait` would return, or None while it runs."""
        if self._code is None and _readable(self._pidfd):
            self._end()
        return self._code

    def kill(self) -> None:
        """SIGKILL; nothing happens when it has ended."""
        if self.poll() is None:
            _kill(self._pidfd)

    def kill_guest(self) -> bool:
        """SIGKILL its guest; False if that has ended, or was never forked."""
        if self.poll() is not None:
            return False
        self._read()
        return self._guest is not None and not _readable(self._guest) and _kill(self._guest)

    def close_lifeline(self) -> None:
        """Ask it to end: its guest in order, then itself. Idempotent."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    def _read(self) -> None:
        while self._code is None:
            try:
                report, descriptors = _receive(self._control)
            except BlockingIOError:
                return
            except ConnectionResetError:
                report, descriptors = {}, []
            if descriptors:
                (self._guest,) = descriptors
            elif not report:
                self._code = KILLED
            self._code = report.get("code", self._code)

    def _end(self) -> None:
        self._read()
        self._code = KILLED if self._code is None else self._code
        self._control.close()
        os.close(self._pidfd)
        if self._guest is not None:
            os.close(self._guest)
            self._guest = None


class GuestTemplate:
    """Forks launchers, from a process that is started when one is first needed; see `open_template`."""

    def __init__(self, argv: Sequence[str], *, environment: Mapping[str, str], processes: Processes) -> None:
        self._argv = argv
        self._environment = environment
        self._processes = processes
        self._running: _Process | None = None
        # starting and asking it: one task at a time
        self._turn = trio.Lock()

    async def fork(self, log: Path, *, seconds: float) -> Launcher:
        """A launcher that waits to be told what to start, in a session of its own; its output is appended to `log`.

        Raises:
            OSError: no process or descriptor is to be had.
            GuestDied: the template does not come up, or does not fork within `seconds`; the text has what it said.
        """
        with trio.move_on_after(seconds):
            while True:
                async with self._turn:
                    fresh = self._running is None or self._running.ended
                    template = await self._renewed() if fresh else self._running
                    assert template is not None
                    control = await template.ask(log)
                launcher = await _first_report(control)
                if launcher is not None:
                    return launcher
                if fresh:
                    # its socket ends a moment before it does
                    await template.child.wait()
                    raise GuestDied(f"the guest did not come up: its template {template.trouble}")
        trouble = self._running.trouble if self._running is not None else "was not started"
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
        self._requests.close()
        with trio.CancelScope(shield=True):
            with trio.move_on_after(_ENDING_SECONDS):
                await self.child.wait()
            self.child.send_signal(signal.SIGKILL)
            await self.child.wait()
        os.close(self._said)


@asynccontextmanager
async def open_template(
    argv: Sequence[str], *, environment: Mapping[str, str], processes: Processes
) -> AsyncGenerator[GuestTemplate]:
    """A template that ends with the block. `argv`: the program, see `actors.guest.template`."""
    template = GuestTemplate(argv, environment=environment, processes=processes)
    try:
        yield template
    finally:
        await template.aclose()


async def _first_report(control: socket.socket) -> Launcher | None:
    """The launcher at the other end; None if the template died before it forked. Raises: OSError, the fork's."""
    try:
        await trio.lowlevel.wait_readable(control)
        with suppress(ConnectionResetError):  # dead, with our request unread
            report, descriptors = _receive(control)
            if "errno" in report:
                raise OSError(report["errno"], os.strerror(report["errno"]))
            if descriptors:
                return Launcher(control, report["launcher"], descriptors[0])
    except BaseException:
        control.close()
        raise
    control.close()
    return None


def _receive(control: socket.socket) -> tuple[dict[str, int], list[int]]:
    """One report and its descriptor; an empty one at the end. Raises: BlockingIOError, if there is none yet; ConnectionResetError."""
    message, descriptors, _, _ = socket.recv_fds(control, _MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
    return json.loads(message) if message else {}, descriptors


def _readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _kill(pidfd: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
