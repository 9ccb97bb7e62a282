"""One process of a pod on the guest's side: its names on the wire, its input that waits, and what is told of its end.

For the hyperstart service. Not for its output, which the service pumps, nor for running it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from transports.hyperstart.streams import INPUT_SLICE

if TYPE_CHECKING:
    from actors.guest.process_io import ProcessIo
    from actors.limits import Limits
    from actors.wire.spec import ExitStatus
    from transports.hyperstart.messages import Process

__all__ = ["LiveProcess"]


class LiveProcess:
    """`id` is what the host calls it, `name` what the executor does: of an init, its container's."""

    def __init__(self, container: str, body: Process, *, name: str, limits: Limits) -> None:
        self.container = container
        self.id = body.id
        self.name = name
        self.stdio = body.stdio
        self.stderr = 0 if body.terminal else body.stderr
        self._signals: list[int] = []
        # a real guest keeps 512 bytes of a pipe's excess; this one as much as it keeps of output
        slices = limits.unread_output_bytes // INPUT_SLICE
        self._put, self._input = trio.open_memory_channel[bytes](slices)

    @property
    def key(self) -> tuple[str, str]:
        """By which the host names it."""
        return self.container, self.id

    def put_input(self, data: bytes) -> None:
        """From the stream channel; empty is the end. What is too much is dropped, as nothing can hold a host back."""
        try:
            self._put.send_nowait(data)
        except trio.WouldBlock:
            return

    async def feed(self, io: ProcessIo) -> None:
        """Write what was put, in order, until cancelled."""
        async for data in self._input:
            if data:
                await io.write(data)
            else:
                await io.close_stdin()

    def told_signal(self, signum: int) -> None:
        """A signal was sent to it by us."""
        if signum not in self._signals:
            self._signals.append(signum)

    def was_sent(self, signum: int) -> bool:
        """Whether we sent it that signal."""
        return signum in self._signals

    def told_status(self, status: ExitStatus) -> int:
        """What its host is told: 0 for death by a signal, as a real guest does.

        The engine tells exit code 128 + N and death by signal N as one; only a signal that we sent is taken for a death.
        """
        return 0 if status.code - 128 in self._signals else status.code & 0xFF
