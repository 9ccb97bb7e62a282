"""A launcher that a template has forked: what is read from its control socket, and its pidfd.

`actors.guest.template` says what goes over the socket. A pidfd and not a number names each process, so that no other can be meant.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Launcher", "first_report"]

# a report carries one descriptor at the most, and a number
_MESSAGE_BYTES = 256
# of a launcher that has not said how it ended
KILLED = -signal.SIGKILL


class Launcher:
    """Not our child: what it ends with is what it reported, and -9 if it was killed before it could."""

    def __init__(self, control: socket.socket, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._control = control
        self._pidfd = pidfd
        self._guest: int | None = None
        # what it has reported, a moment before its end; and, from its end on, what `wait` returns
        self._reported = KILLED
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
        """All that has come."""
        with suppress(BlockingIOError, ConnectionResetError):
            while True:
                report, descriptors = _receive(self._control)
                if not report:
                    return
                if descriptors:
                    (self._guest,) = descriptors
                self._reported = report.get("code", self._reported)

    def _end(self) -> None:
        self._read()
        self._code = self._reported
        self._control.close()
        os.close(self._pidfd)
        if self._guest is not None:
            os.close(self._guest)
            self._guest = None


async def first_report(control: socket.socket) -> Launcher | None:
    """The launcher at the other end; None if the template died before it forked. Raises: OSError, the fork's, or no room for its pidfd."""
    try:
        await trio.lowlevel.wait_readable(control)
        with suppress(ConnectionResetError):  # dead, with our request unread
            report, descriptors = _receive(control)
            if "errno" in report:
                raise OSError(report["errno"], os.strerror(report["errno"]))
            if descriptors:
                return Launcher(control, report["launcher"], descriptors[0])
            if report:
                # the kernel drops a descriptor that this process has no room for
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
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
